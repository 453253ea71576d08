"""Where frames go: files, folders, virtual cameras, windows."""

from mien_streamer.sinks.images import ImageFileSink, ImageFolderSink
from mien_streamer.sinks.opening import open_sink, planes_taken
from mien_streamer.sinks.sink import NullSink, Sink
from mien_streamer.sinks.video import VideoFileSink, VideoOptions

__all__ = [
    "ImageFileSink",
    "ImageFolderSink",
    "NullSink",
    "Sink",
    "VideoFileSink",
    "VideoOptions",
    "open_sink",
    "planes_taken",
]
