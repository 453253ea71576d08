"""Scenes from the stage: who is followed, under which id, and who is swapped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from mien.config import TrackerConfig
from mien.perception import FaceTracker
from mien.types import F32Array, FaceTrack, Frame, U8Array
from tests.perception.stage import Actor, Camera, astronaut, backdrop, clip, compose


def play(
    images: Iterator[U8Array] | list[U8Array],
    max_faces: int = 1,
    enrolled: F32Array | None = None,
) -> list[list[FaceTrack]]:
    """The tracks of every picture."""
    camera = Camera()
    with FaceTracker(TrackerConfig(max_faces=max_faces)) as tracker:
        tracker.enrol_performer(enrolled)
        return [tracker.track(camera.shoot(image)) for image in images]


def centre(track: FaceTrack) -> float:
    left, _, right, _ = track.box
    return (left + right) / 2


def performers(tracks: list[FaceTrack]) -> list[FaceTrack]:
    return [track for track in tracks if track.is_performer]


def test_one_face_keeps_one_id_and_grows_older() -> None:
    seen = play(clip("clip1"))
    assert [len(tracks) for tracks in seen] == [1] * 45
    assert {tracks[0].track_id for tracks in seen} == {0}
    assert [tracks[0].age for tracks in seen] == list(range(45))
    assert all(tracks[0].is_performer and tracks[0].quality > 0.9 for tracks in seen)
    assert seen[0][0].landmarks.shape == (478, 3)
    assert seen[0][0].landmarks.dtype == np.float32


def test_a_real_face_is_followed_too() -> None:
    picture = astronaut()
    seen = play([np.roll(picture, 3 * i, axis=1) for i in range(20)])
    centres = [centre(tracks[0]) for tracks in seen]
    assert {tracks[0].track_id for tracks in seen} == {0}
    np.testing.assert_allclose(np.diff(centres[5:]), 3.0, atol=0.6)


def crossing(frames: int = 60) -> Iterator[U8Array]:
    """b walks right behind d, who walks left."""
    for i in range(frames):
        u = i / (frames - 1)
        yield compose([Actor("b", 120 + 400 * u), Actor("d", 520 - 400 * u, size=240)], backdrop())


def test_ids_stay_with_their_people_when_two_cross() -> None:
    seen = play(crossing(), max_faces=2)
    first = {track.track_id: centre(track) for track in seen[0]}
    last = {track.track_id: centre(track) for track in seen[-1]}
    assert first.keys() == last.keys() == {0, 1}
    assert centre(seen[0][0]) > 500  # d is larger, so the performer
    for track_id, start in first.items():
        assert abs(last[track_id] - (640 - start)) < 15
    assert {track.track_id for tracks in seen for track in tracks} == {0, 1}


def test_the_performer_in_front_is_never_lost_when_two_cross() -> None:
    seen = play(crossing())
    assert all(len(performers(tracks)) == 1 for tracks in seen)
    for i, tracks in enumerate(seen):
        assert abs(centre(tracks[0]) - (520 - 400 * i / 59)) < 20


@pytest.mark.parametrize("max_faces", [1, 2])
def test_the_swap_does_not_jump_to_someone_who_walks_in_front(max_faces: int) -> None:
    def scene() -> Iterator[U8Array]:
        for i in range(90):
            passer = Actor("d", -60 + 760 * i / 89, size=240)
            yield compose([Actor("b", 320, size=260), passer], backdrop())

    seen = play(scene(), max_faces)
    for tracks in seen:
        for performer in performers(tracks):
            assert abs(centre(performer) - 320) < 25
            assert performer.track_id == 0
    assert performers(seen[0])
    assert performers(seen[-1])
    assert all(performers(tracks) for tracks in seen[:30] + seen[60:])


@pytest.mark.parametrize("max_faces", [1, 2])
def test_who_leaves_and_returns_gets_the_swap_and_the_id_back(max_faces: int) -> None:
    def scene() -> Iterator[U8Array]:
        for i in range(25):
            yield compose(
                [Actor("b", 180 - 20 * max(i - 8, 0)), Actor("d", 480, size=180)], backdrop()
            )
        for i in range(20):  # the bystander comes nearer and grows larger than the performer was
            yield compose([Actor("d", 480 - 10 * i, size=180 + 5 * i)], backdrop())
        for i in range(20):
            yield compose(
                [Actor("d", 240, size=260), Actor("b", 660 - 9 * i, size=150)], backdrop()
            )

    seen = play(scene(), max_faces)
    assert performers(seen[0])[0].track_id == 0
    assert not any(performers(tracks) for tracks in seen[25:45])
    assert performers(seen[-1])[0].track_id == 0
    assert abs(centre(performers(seen[-1])[0]) - 489) < 20


def test_with_a_lock_a_larger_bystander_gets_nothing(descriptors: dict[str, F32Array]) -> None:
    def scene() -> Iterator[U8Array]:
        for i in range(30):
            people = [Actor("d", 180, size=300)]
            if i >= 10:
                people.append(Actor("b", 500, size=150))
            yield compose(people, backdrop())

    seen = play(scene(), enrolled=descriptors["b"])
    assert not any(performers(tracks) for tracks in seen[:10])
    for tracks in seen[10:]:
        assert len(tracks) == 1  # the bystander made room
        assert tracks[0].is_performer
        assert abs(centre(tracks[0]) - 500) < 15


def test_the_lock_chooses_at_once_among_several(descriptors: dict[str, F32Array]) -> None:
    people = [
        Actor("d", 120, size=230),
        Actor("b", 330, size=170),
        Actor("astronaut", 530, size=220),
    ]
    picture = compose(people, backdrop())
    for name, where in (("b", 330), ("d", 120), ("astronaut", 530)):
        for max_faces in (1, 3):
            (tracks,) = play([picture], max_faces, descriptors[name])
            assert abs(centre(tracks[0]) - where) < 20
            assert [track.is_performer for track in tracks] == [True] + [False] * (len(tracks) - 1)


def test_a_poster_larger_than_the_performer_never_gets_the_swap() -> None:
    def scene() -> Iterator[U8Array]:
        poster = Actor("astronaut", 520, 170, size=200)
        for i in range(60):
            size = 260 if i < 20 else 140  # the performer steps back, then goes
            people = [poster] + ([Actor("b", 200, size=size)] if i < 40 else [])
            yield compose(people, backdrop())

    seen = play(scene(), max_faces=2)
    for i, tracks in enumerate(seen):
        for performer in performers(tracks):
            assert abs(centre(performer) - 200) < 15
        assert bool(performers(tracks)) == (i < 40)


def test_a_cut_starts_a_new_track_without_a_stale_frame() -> None:
    def scene() -> Iterator[U8Array]:
        for _ in range(10):
            yield compose([Actor("b", 180)], backdrop())
        for _ in range(10):
            yield compose([Actor("d", 300, size=230)], backdrop(7))
        for _ in range(5):
            yield backdrop(9)

    seen = play(scene())
    assert [tracks[0].track_id for tracks in seen[:20]] == [0] * 10 + [1] * 10
    assert [tracks[0].age for tracks in seen[8:12]] == [8, 9, 0, 1]
    assert abs(centre(seen[10][0]) - 300) < 12
    assert performers(seen[10])
    assert not any(seen[20:])


def test_after_a_cut_the_performer_is_preferred_to_a_larger_face() -> None:
    first = [compose([Actor("b", 180)], backdrop())] * 8
    second = [compose([Actor("d", 150, size=280), Actor("b", 480, size=150)], backdrop(7))] * 3
    seen = play(first + second)
    assert abs(centre(performers(seen[-1])[0]) - 480) < 12


def test_reset_forgets_tracks_but_not_numbers() -> None:
    camera = Camera()
    picture, other = compose([Actor("b", 180)], backdrop()), compose([Actor("d", 180)], backdrop())
    with FaceTracker() as tracker:
        first = tracker.track(camera.shoot(picture))
        tracker.reset()
        second = tracker.track(camera.shoot(other))
    assert first[0].track_id == 0
    assert second[0].track_id == 1
    assert second[0].age == 0


def test_find_touches_no_track() -> None:
    camera = Camera()
    with FaceTracker() as tracker:
        before = tracker.track(camera.shoot(compose([Actor("b", 180)], backdrop())))
        tracker.find(astronaut())
        after = tracker.track(camera.shoot(compose([Actor("b", 180)], backdrop())))
    assert before[0].track_id == after[0].track_id
    assert after[0].age == 1


def test_no_more_faces_than_asked_for_are_followed() -> None:
    people = [
        Actor("d", 120, size=200),
        Actor("b", 330, size=170),
        Actor("astronaut", 530, size=220),
    ]
    picture = compose(people, backdrop())
    for max_faces in (1, 2, 3):
        seen = play([picture] * 10, max_faces)
        assert len(seen[-1]) == max_faces


def test_tracking_is_repeatable() -> None:
    frames = clip("clip2")[:12]
    for a, b in zip(play(frames), play(frames), strict=True):
        np.testing.assert_array_equal(a[0].landmarks, b[0].landmarks)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 900), (15, 15), (16, 16), (17, 640), (719, 1279), (1280, 720), (64, 64)]
)
def test_odd_sizes_do_no_harm(size: tuple[int, int]) -> None:
    camera = Camera()
    with FaceTracker() as tracker:
        for image in (backdrop(size=size), backdrop(2, size=size)):
            assert tracker.track(camera.shoot(image)) == []
            assert tracker.find(image) == []


@pytest.mark.parametrize("size", [(719, 1279), (1280, 720), (4320, 7680)])
def test_a_face_is_found_at_every_frame_size(size: tuple[int, int]) -> None:
    side = min(size) * 0.6
    picture = compose([Actor("astronaut", size[1] / 2, size[0] / 2, side)], backdrop(size=size))
    camera = Camera()
    with FaceTracker() as tracker:
        for _ in range(2):
            (face,) = tracker.track(camera.shoot(picture))
    assert abs(centre(face) - size[1] / 2) < 0.05 * side


def test_a_change_of_size_in_mid_stream_is_survived() -> None:
    camera = Camera()
    small = compose([Actor("b", 180)], backdrop())
    large = np.ascontiguousarray(small.repeat(2, axis=0).repeat(2, axis=1))
    with FaceTracker() as tracker:
        seen = [tracker.track(camera.shoot(image)) for image in (small, small, large, large)]
    assert [len(tracks) for tracks in seen] == [1] * 4
    assert abs(centre(seen[2][0]) - 360) < 20


def test_a_grey_picture_in_three_channels_is_fine(finder: FaceTracker) -> None:
    grey = astronaut().mean(axis=2).astype(np.uint8)
    (face,) = finder.find(np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2)))
    colour = finder.find(astronaut())[0]
    assert np.linalg.norm((face.landmarks - colour.landmarks)[:, :2], axis=1).mean() < 1.5


@pytest.mark.parametrize(
    "image",
    [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3), float)],
)
def test_what_is_no_bgr_picture_is_refused_in_words(finder: FaceTracker, image: U8Array) -> None:
    with pytest.raises(ValueError, match=r"expected an image \(H, W, 3\) uint8"):
        finder.find(image)
    with pytest.raises(ValueError, match="expected an image"):
        finder.track(Frame(index=0, bgr=image, capture_ns=0, pts_ns=0))


def test_pictures_that_are_views_are_fine(finder: FaceTracker) -> None:
    mirrored = astronaut()[:, ::-1]
    (face,) = finder.find(mirrored)
    assert abs(centre(face) - (511 - 225)) < 10


def test_frames_without_timestamps_are_smoothed_by_capture_time() -> None:
    frames = clip("clip1")[:10]
    with FaceTracker() as tracker:
        still = [
            tracker.track(Frame(index=i, bgr=image, capture_ns=i * 33_333_333, pts_ns=0))
            for i, image in enumerate(frames)
        ]
    stamped = play(frames)
    np.testing.assert_allclose(still[-1][0].landmarks, stamped[-1][0].landmarks, atol=1e-2)
