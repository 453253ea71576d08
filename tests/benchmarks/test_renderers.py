"""The comparison of renderers sees what differs, and by how much."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("numba", reason="the studio draws with numba")
pytest.importorskip("scipy", reason="the studio shapes heads with scipy")

from mien_benchmarks.renderers import compare, draw_sheet, main, time_pictures


def picture(grey: float, share: float) -> tuple[np.ndarray, np.ndarray]:
    linear = np.full((8, 8, 3), grey, np.float32)
    part = np.zeros((8, 8), np.float32)
    part[:4] = share
    return linear, part


def test_one_picture_is_itself() -> None:
    same = compare([picture(0.2, 1.0)], [picture(0.2, 1.0)])
    assert same == {
        "mean_difference": 0.0,
        "largest_difference": 0,
        "pixels_within_3": 1.0,
        "least_iou_of_shares": 1.0,
    }


def test_one_bright_pixel_and_half_a_share() -> None:
    linear, share = picture(0.0, 1.0)
    other_linear, other_share = linear.copy(), share.copy()
    other_linear[5, 5] = 9.0
    other_share[2:4] = 0.0
    apart = compare([(linear, share)], [(other_linear, other_share)])
    assert apart["largest_difference"] == 255
    assert apart["pixels_within_3"] == pytest.approx(63 / 64)
    assert apart["mean_difference"] == pytest.approx(255 / 64)
    assert apart["least_iou_of_shares"] == pytest.approx(0.5)


def test_a_sheet_has_both_and_what_differs(tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    draw_sheet([picture(0.5, 1.0)] * 2, [picture(0.0, 1.0)] * 2, path)
    sheet = cv2.imread(str(path))
    assert sheet.shape == (16, 24, 3)
    assert not sheet[:, :8].any()
    assert sheet[:, 8:16].min() > 100
    assert (sheet[:, 16:] == 255).all()


def test_pictures_are_taken_to_be_timed() -> None:
    taken: list[int] = []
    rates = time_pictures(lambda: (taken.append(k) for k in range(200_000)), 200_000, 1)
    assert len(taken) == 200_000
    assert set(rates) == {"pictures_a_second", "pictures_a_processor_second"}
    assert min(rates.values()) > 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--looks", "2"], "--looks"),
        (["--repeats", "0"], "--repeats"),
        (["--threads", "9999"], "--threads"),
        ([], "not the data folder"),
    ],
)
def test_what_cannot_be_measured(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="one of the renderers is PyTorch's")
    with pytest.raises(SystemExit) as refused:
        main([str(tmp_path), *options])
    assert refused.value.code == 2
    assert said in capsys.readouterr().err
