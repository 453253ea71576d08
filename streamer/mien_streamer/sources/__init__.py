"""Where frames come from: files, streams, pictures, cameras."""

from mien_streamer.sources.images import ImageSource, read_image
from mien_streamer.sources.opening import open_source
from mien_streamer.sources.source import Source, SourceInfo
from mien_streamer.sources.video import VideoSource

__all__ = [
    "ImageSource",
    "Source",
    "SourceInfo",
    "VideoSource",
    "open_source",
    "read_image",
]
