"""Moments of a film of one person, as the generator's tuning wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from mien.errors import MediaError
from mien.live_view import input_transform, observe_driver
from mien.perception import SAME_PERSON, FaceDescriptor, FaceTracker, distance
from mien.personas.persona import Persona
from mien.refiner_view import crop_from_frame, crop_landmarks, cut_crop
from mien.swappers.mesh.performer import PerformerModel
from mien.training.persona_footage import Footage
from mien.types import F32Array, FaceTrack, Frame, U8Array
from mien_streamer.sources import open_source

Progress = Callable[[float], None]

# So many frames are followed, and so many of them kept, both spread over the film.
_FOLLOWED, _KEPT = 1200, 160
# What is known of the performer settles over so many frames.
_SETTLING = 8
_SMALLEST_FACE_PX = 60.0


def watch_footage(
    persona: Persona, video: Path, size: int, *, progress: Progress | None = None
) -> Footage:
    """The moments of a film in which a persona is seen, up to 160.

    Args:
        persona: who must be seen; other faces are left out.
        video: the film.
        size: side of the pictures to cut.
        progress: told about the share that is done, 0..1.

    Raises:
        MediaError: the film cannot be read, or the persona's face is not in it.
    """
    kept: list[_Moment] = []
    faces = 0
    watcher = _Watcher()
    describer = FaceDescriptor()
    try:
        with open_source(str(video)) as source, FaceTracker() as tracker:
            count = source.info.frame_count
            step = max((count or 0) // _FOLLOWED, 1)
            every = max((count or _FOLLOWED) // step // _KEPT, 1)
            for frame in source.frames():
                if frame.index % step:
                    continue
                looked = frame.index // step
                track = _largest(tracker.track(frame))
                if track is not None:
                    faces += 1
                    moment = watcher.see(frame, track, size, wanted=looked % every == 0)
                    if moment is not None and _is_shown(persona, frame, track, describer):
                        kept.append(moment)
                if progress is not None:
                    progress(min(frame.index / max(count or _FOLLOWED, 1), 1.0))
                if len(kept) >= _KEPT or looked >= 2 * _FOLLOWED:
                    break
    finally:
        describer.close()
    if not faces:
        raise MediaError(
            f"no face is seen in {video.name}",
            "use footage that shows the face from the front, well lit",
        )
    if not kept:
        raise MediaError(
            f"{persona.name} is not seen in {video.name}",
            "use footage that shows the face from the front, well lit and without cuts",
        )
    pictures, conditions, transforms, landmarks = zip(*kept, strict=True)
    return Footage(
        pictures=np.stack(pictures),
        conditions=np.stack(conditions),
        transforms=np.stack(transforms),
        landmarks=np.stack(landmarks),
    )


_Moment = tuple[U8Array, F32Array, F32Array, F32Array]


class _Watcher:
    """Learns who performs, and cuts moments."""

    def __init__(self) -> None:
        self._performer = PerformerModel()
        self._track_id = -1
        self._seen = 0

    def see(self, frame: Frame, track: FaceTrack, size: int, *, wanted: bool) -> _Moment | None:
        if track.track_id != self._track_id:
            self._performer, self._track_id, self._seen = PerformerModel(), track.track_id, 0
        condition = observe_driver(frame.bgr, track, self._performer)
        self._seen += 1
        if not wanted or self._seen <= _SETTLING:
            return None
        crop = crop_from_frame(track.landmarks, size)
        return (
            np.array(cut_crop(frame.bgr, crop, size)),
            condition,
            input_transform(crop, track.pose, size),
            np.ascontiguousarray(crop_landmarks(track.landmarks, crop)[:, :2], np.float32),
        )


def _largest(tracks: list[FaceTrack]) -> FaceTrack | None:
    """The largest face that is large enough."""
    wide = [(track.box[2] - track.box[0], -place) for place, track in enumerate(tracks)]
    if not wide or max(wide)[0] < _SMALLEST_FACE_PX:
        return None
    return tracks[-max(wide)[1]]


def _is_shown(persona: Persona, frame: Frame, track: FaceTrack, describer: FaceDescriptor) -> bool:
    seen = describer.describe(frame.bgr, track.landmarks)
    return distance(seen, persona.descriptor) <= SAME_PERSON
