"""What one picture costs, counted from the layer table."""

from __future__ import annotations

from dataclasses import dataclass

from mien.networks.stylegan3.config import GeneratorConfig
from mien.networks.stylegan3.layout import tensor_shapes
from mien.networks.stylegan3.schedule import LayerSpec, design_schedule


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthesisCost:
    """Work of one picture.

    Attributes:
        convolution_gmac: multiply-adds of the convolutions, in 10^9.
        filter_gmac: of the filters around the nonlinearities, without those that meet
            inserted zeros.
        parameters_m: weights of the synthesis network, in millions.
    """

    convolution_gmac: float
    filter_gmac: float
    parameters_m: float

    @property
    def gmac(self) -> float:
        """All multiply-adds, in 10^9."""
        return self.convolution_gmac + self.filter_gmac


def synthesis_cost(config: GeneratorConfig) -> SynthesisCost:
    """The cost of one picture of a generator."""
    layers = design_schedule(config).layers
    parameters = sum(
        _product(shape)
        for name, shape in tensor_shapes(config).items()
        if name.startswith("synthesis.")
    )
    return SynthesisCost(
        convolution_gmac=sum(_convolution(layer) for layer in layers) / 1e9,
        filter_gmac=sum(_filters(layer) for layer in layers) / 1e9,
        parameters_m=parameters / 1e6,
    )


def _convolution(layer: LayerSpec) -> int:
    size = layer.in_size + layer.conv_kernel - 1
    return layer.in_channels * layer.out_channels * layer.conv_kernel**2 * size**2


def _filters(layer: LayerSpec) -> int:
    if layer.up_taps == 1 and layer.down_taps == 1:
        return 0
    before = layer.in_size + layer.conv_kernel - 1
    raised = (layer.out_size - 1) * layer.down + layer.down_taps
    phase = -(-layer.up_taps // layer.up)
    work = before * raised * phase + raised * raised * phase
    if layer.radial:
        work += layer.out_size**2 * layer.down_taps**2
    else:
        work += (raised + layer.out_size) * layer.out_size * layer.down_taps
    return work * layer.out_channels


def _product(shape: tuple[int, ...]) -> int:
    total = 1
    for size in shape:
        total *= size
    return total
