"""The same work in PyTorch's own operators, as a yardstick on the same card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from mien_benchmarks.kernel_cases import CROP, RADIUS, Case

Work = Callable[[], Any]


def torch_times(
    cases: Sequence[Case], index: int, warm_up: int, runs: int
) -> Iterator[tuple[Case, list[float]]]:
    """Milliseconds by the card's clock of each case that PyTorch can do; nothing without it."""
    try:
        import torch
    except ImportError:
        return
    if not torch.cuda.is_available():
        return
    device, event = f"cuda:{index}", partial(torch.cuda.Event, enable_timing=True)
    with torch.inference_mode(), torch.cuda.device(index):
        for case in cases:
            work = torch_work(case, device)
            if work is None:
                continue
            marks = []
            for _ in range(warm_up + runs):
                start, end = event(), event()
                start.record()
                work()
                end.record()
                marks.append((start, end))
            torch.cuda.synchronize()
            yield case, [float(start.elapsed_time(end)) for start, end in marks[warm_up:]]


def torch_work(case: Case, device: str) -> Work | None:
    """The case's work on copies of its arrays on a PyTorch device; None if there is no match."""
    maker = _MAKERS.get(case.name)
    if maker is None:
        return None
    import torch

    return maker([torch.from_numpy(array.copy()).to(device) for array in case.arrays], case)


def _blend(arrays: list[Any], case: Case) -> Work:
    import torch

    frame, patch, matte = arrays

    def work() -> Any:
        weight = matte[..., None].to(torch.int32)
        mixed = frame.to(torch.int32) * (255 - weight) + patch.to(torch.int32) * weight + 128
        return ((mixed + (mixed >> 8)) >> 8).to(torch.uint8)

    return work


def _blur_matte(arrays: list[Any], case: Case) -> Work:
    import torch
    from torch.nn import functional

    [matte] = arrays

    def work() -> Any:
        wide = functional.pad(matte[None, None].float(), (RADIUS,) * 4, mode="replicate")
        mean = functional.avg_pool2d(wide, 2 * RADIUS + 1, stride=1)
        return (mean[0, 0] + 0.5).to(torch.uint8)

    return work


def _warp_crop(arrays: list[Any], case: Case) -> Work:
    import torch
    from torch.nn import functional

    frame = arrays[0]
    [turn] = case.settings
    height, width = frame.shape[:2]
    # From the crop's pixels to grid_sample's -1..1 between the centres of the outermost pixels.
    place = torch.from_numpy(turn).float().to(frame.device)
    j, i = torch.meshgrid(torch.arange(CROP), torch.arange(CROP), indexing="ij")
    pixels = torch.stack([i, j, torch.ones_like(i)], dim=-1).float().to(frame.device)
    size = torch.tensor([width - 1, height - 1]).to(frame.device)

    def work() -> Any:
        grid = (pixels @ place.T) / size * 2 - 1
        planes = frame.flip(-1).permute(2, 0, 1)[None].float() * (1 / 255)
        return functional.grid_sample(
            planes, grid[None], padding_mode="border", align_corners=True
        )[0]

    return work


def _filtered_lrelu(arrays: list[Any], case: Case) -> Work:
    from mien.networks.stylegan3.filtered_lrelu import filtered_lrelu

    x, _, bias, rise, fall = arrays
    up, down, pad_y, pad_x, gain, slope, clamp = case.settings
    padding = (pad_x, pad_x - 1, pad_y, pad_y - 1)  # an even number of taps
    # Its filters get the raised rate's gain inside.
    rise = rise / up

    def work() -> Any:
        return filtered_lrelu(x, rise, fall, bias, up, down, padding, gain, slope, clamp)

    return work


_MAKERS: dict[str, Callable[[list[Any], Case], Work]] = {
    "blend": _blend,
    "blur_matte": _blur_matte,
    "warp_crop": _warp_crop,
    "filtered_lrelu": _filtered_lrelu,
}
