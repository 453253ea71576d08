"""Faces followed through time: the stage between source and swapper."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from mien.config import TrackerConfig
from mien.perception._clock import FrameClock
from mien.perception._engines import DeviceNetworks, networks_for
from mien.perception._search import Search
from mien.perception._track import Memory, Track
from mien.perception.cuts import CutDetector
from mien.perception.descriptor import FaceDescriptor
from mien.perception.detector import Detector
from mien.perception.landmarks import FACE_BELIEF, Landmarker
from mien.perception.performer import PerformerLock
from mien.perception.pose import estimate_pose
from mien.perception.stills import locate_faces
from mien.perception.views import in_picture, judgeable, shape_change
from mien.ranges import ranged
from mien.types import F32Array, FaceTrack, Frame, U8Array

if TYPE_CHECKING:
    from mien.gpu import SharedFrame

_SMALLEST_SIDE_PX = 16
"""Pictures smaller than this hold no face worth finding."""

_BIRTH_BELIEF = 0.9
"""A new track needs this much belief; chosen by eye: of some 25 things that were not faces
three reached it, while faces give 0.99 and more."""

_SAME_FACE = 0.6
"""Two tracks whose regions overlap more than this are on one face."""

_CROSSING = 0.15
"""Two performers whose regions overlap more than this may be taken for each other."""

_SUSPICIOUS_CHANGE = 0.05
"""A face that deforms more than this in one frame may be another one; in two clips of
talking, turning heads no frame exceeds 0.039. It only brings the next check forward."""


class FaceTracker:
    """Finds faces, follows them, and says which one is the performer.

    One thread at a time may use it. It owns its networks and buffers; :meth:`close`
    frees them. The arrays of the tracks it returns belong to the caller.

    Args:
        config: how many faces to follow, and threads for each network.
        device: where the networks run: ``cpu``, ``cuda:N``, or ``auto`` for the quicker.

    Raises:
        ModelError: a model file is missing or corrupt.
    """

    def __init__(self, config: TrackerConfig | None = None, device: str = "cpu") -> None:
        self._config = config or TrackerConfig()
        self._networks = networks_for(device)
        threads = self._config.threads
        self._detector = Detector(threads, self._networks)
        self._landmarker = Landmarker(threads, self._networks)
        self._descriptor = FaceDescriptor(threads, self._networks)
        self._lock = PerformerLock()
        self._cuts = CutDetector()
        self._memory = Memory()
        self._tracks: list[Track] = []
        self._next_id = 0
        self._clock = FrameClock()
        self._search = Search(self._detector)

    def enrol_performer(self, descriptor: F32Array | None) -> None:
        """Swap only the person of this descriptor from now on; None lifts the lock.

        Args:
            descriptor: (128,) float32 from :class:`FaceDescriptor`.

        Raises:
            ValueError: the descriptor has the wrong shape or is not finite.
        """
        self._lock.enrol(descriptor)
        self._search.restart()

    def enrol_cast(self, descriptors: Mapping[str, F32Array]) -> None:
        """Swap these people, each under the name of a role; an empty mapping lifts it.

        Args:
            descriptors: (128,) float32 by role. ``max_faces`` must be at least as many.

        Raises:
            ValueError: there are more than ``max_faces``, or a descriptor is unfit.
        """
        if len(descriptors) > self._config.max_faces:
            raise ValueError(
                f"{len(descriptors)} performers need max_faces={len(descriptors)}, "
                f"got {self._config.max_faces}"
            )
        self._lock.enrol_cast(descriptors)
        self._search.restart()

    @property
    def where(self) -> list[str]:
        """What runs where, and why, in lines for people; empty where nothing was chosen."""
        return self._networks.where if isinstance(self._networks, DeviceNetworks) else []

    @property
    def frame_on_gpu(self) -> SharedFrame | None:
        """What lies on a GPU of the frame that was tracked last; None where nothing does."""
        on_gpu = self._landmarker.on_gpu
        return on_gpu.shared if on_gpu is not None else None

    def reset(self) -> None:
        """Forget every track, as after a seek; ids go on counting, the lock stays."""
        self._tracks.clear()
        self._cuts.reset()
        self._search.restart()
        self._lock.new_scene()

    @ranged("track")
    def track(self, frame: Frame) -> list[FaceTrack]:
        """The faces of the next frame, the performer first, then by size.

        Args:
            frame: frames must come in order; gaps are fine.

        Returns:
            At most ``max_faces`` tracks; an empty list when no face is seen.
        """
        image = _checked(frame.bgr)
        time_s = self._clock.seconds(frame)
        if min(image.shape[:2]) < _SMALLEST_SIDE_PX:
            self._tracks.clear()
            return []
        cut = self._cuts.is_cut(image)
        if cut:
            self._end_all(time_s)
            self._search.restart()
            self._lock.new_scene()
        self._follow(image, time_s)
        self._part_overlapping(image, time_s)
        self._look_for_more(image, time_s)
        self._check_identities(image, time_s)
        roles = self._lock.assign(self._tracks)
        published = [self._publish(track, roles, time_s) for track in self._tracks]
        for track in self._tracks:
            track.age += 1
        return sorted(published, key=lambda face: (not face.is_performer, -_size(face)))

    def find(self, image_bgr: U8Array) -> list[FaceTrack]:
        """Every face of a still picture, largest first; touches no track.

        Far faces are looked for in tiles; if none is found the picture is also tried
        in its three other orientations.

        Args:
            image_bgr: (H, W, 3) uint8.

        Returns:
            Tracks numbered from 0, unsmoothed; the performer is the face that matches
            the enrolled descriptor, without one the largest.
        """
        image = _checked(image_bgr)
        if min(image.shape[:2]) < _SMALLEST_SIDE_PX:
            return []
        return self._numbered(image, locate_faces(image, self._detector, self._landmarker))

    def close(self) -> None:
        """Free networks and buffers."""
        self._tracks.clear()
        self._detector.close()
        self._landmarker.close()
        self._descriptor.close()

    def __enter__(self) -> FaceTracker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Steps of track(), in order.

    def _follow(self, image: U8Array, time_s: float) -> None:
        """Find every track's face again where it was in the last frame."""
        for track in list(self._tracks):
            landmarks, quality = self._landmarker.locate(image, track.roi)
            if quality < FACE_BELIEF or not in_picture(landmarks, image):
                self._end(track, time_s)
                continue
            if shape_change(track.landmarks, landmarks) > _SUSPICIOUS_CHANGE:
                track.doubt()
            track.move_to(landmarks, quality)

    def _part_overlapping(self, image: U8Array, time_s: float) -> None:
        """Where two tracks ended on one face, keep the one whose face it is."""
        for first in list(self._tracks):
            for second in list(self._tracks):
                if first.track_id >= second.track_id or second not in self._tracks:
                    continue
                if self._lock.has_cast and first.roi.overlap(second.roi) > _CROSSING:
                    first.doubt()
                    second.doubt()
                if first in self._tracks and first.roi.overlap(second.roi) > _SAME_FACE:
                    self._end(self._stranger_of(image, first, second), time_s)

    def _stranger_of(self, image: U8Array, first: Track, second: Track) -> Track:
        """The one of two tracks on one face to whom the face does not belong."""
        if first.identity is None or second.identity is None:
            return second if second.age <= first.age else first
        seen = self._descriptor.describe(image, first.landmarks)
        is_first = first.identity.distance(seen) <= second.identity.distance(seen)
        return second if is_first else first

    def _look_for_more(self, image: U8Array, time_s: float) -> None:
        """Detect, where a slot is free or the performer is missing, and begin tracks."""
        waiting = self._lock.is_missing(self._tracks)
        free = self._config.max_faces - len(self._tracks)
        if free <= 0 and not waiting:
            return
        known = [track.roi for track in self._tracks]
        for roi in self._search.candidates(image, known, waiting=waiting, time_s=time_s):
            landmarks, quality = self._landmarker.locate_refined(image, roi, rounds=2)
            if quality < _BIRTH_BELIEF or not in_picture(landmarks, image):
                continue
            begun = self._begin(image, landmarks, quality, time_s)
            matched = self._is_known(begun)
            if free > 0:
                free -= 1
            elif waiting and matched:
                strangers = [t for t in self._tracks if not self._is_known(t)] or self._tracks
                self._end(min(strangers, key=lambda track: track.size_px), time_s)
            else:
                self._memory.add(begun, time_s)
                self._search.dismiss(begun.roi, time_s)
                continue
            waiting = waiting and not matched
            self._tracks.append(begun)
            if free <= 0 and not waiting:
                return

    def _is_known(self, track: Track) -> bool:
        return track.identity is not None and self._lock.matches(track.identity.mean)

    def _check_identities(self, image: U8Array, time_s: float) -> None:
        """Look whether the most overdue track still shows the same person: one a frame."""
        due = [t for t in self._tracks if t.check_at_s <= time_s and judgeable(t.landmarks, image)]
        if not due:
            return
        track = min(due, key=lambda candidate: candidate.check_at_s)
        was_unknown = track.identity is None
        descriptor = self._descriptor.describe(image, track.landmarks)
        if track.judge(descriptor, time_s) and not (
            was_unknown and self._memory.knows(descriptor, time_s)
        ):
            return
        # Somebody else's face is here now, as when one head passes before another; or a
        # face that began too far turned to be recognised turns out to be an old one.
        self._end(track, time_s, remember=not was_unknown)
        self._tracks.append(self._begin(image, track.landmarks, track.quality, time_s))

    def _publish(self, track: Track, roles: Mapping[int, str], time_s: float) -> FaceTrack:
        landmarks = track.smoother(track.landmarks, track.size_px, time_s)
        return FaceTrack(
            track_id=track.track_id,
            landmarks=landmarks,
            pose=estimate_pose(landmarks),
            quality=track.quality,
            age=track.age,
            is_performer=track.track_id in roles,
            role=roles.get(track.track_id, ""),
        )

    # Beginning and ending tracks.

    def _begin(self, image: U8Array, landmarks: F32Array, quality: float, time_s: float) -> Track:
        """A new track on these landmarks, under the person's old id if they were here."""
        track = Track.at(landmarks, quality)
        if judgeable(landmarks, image):
            descriptor = self._descriptor.describe(image, landmarks)
            track.judge(descriptor, time_s)
            lost = self._memory.recall(descriptor, time_s)
            if lost is not None:
                track.track_id, track.identity = lost.track_id, lost.identity
        else:
            lost = self._memory.recall_place(track.roi, time_s)
            if lost is not None:
                track.track_id, track.identity = lost.track_id, lost.identity
        if track.track_id < 0:
            track.track_id = self._next_id
            self._next_id += 1
        return track

    def _end(self, track: Track, time_s: float, *, remember: bool = True) -> None:
        self._tracks.remove(track)
        if remember:
            self._memory.add(track, time_s)

    def _end_all(self, time_s: float) -> None:
        for track in list(self._tracks):
            self._end(track, time_s)

    def _numbered(self, image: U8Array, faces: list[tuple[F32Array, float]]) -> list[FaceTrack]:
        chosen = 0
        target = self._lock.enrolled
        if target is not None:
            gaps = [target.distance(self._descriptor.describe(image, p)) for p, _ in faces]
            near = min(range(len(gaps)), key=gaps.__getitem__, default=-1)
            chosen = near if near >= 0 and gaps[near] < target.reach else -1
        return [
            FaceTrack(
                track_id=number,
                landmarks=landmarks,
                pose=estimate_pose(landmarks),
                quality=quality,
                age=0,
                is_performer=number == chosen,
            )
            for number, (landmarks, quality) in enumerate(faces)
        ]


def _checked(image_bgr: U8Array) -> U8Array:
    """The image, if it is one."""
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3:
        raise ValueError(
            f"expected an image (H, W, 3) uint8, got {image_bgr.shape} {image_bgr.dtype}; "
            "convert it to BGR first"
        )
    return np.ascontiguousarray(image_bgr)


def _size(face: FaceTrack) -> float:
    left, top, right, bottom = face.box
    return max(right - left, bottom - top)
