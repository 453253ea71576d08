"""The StyleGAN3 swapper: heads drawn by a generator that was trained on the personas."""

from mien.swappers.stylegan3.networks import LiveFiles
from mien.swappers.stylegan3.swapper import StyleGAN3Swapper

__all__ = ["LiveFiles", "StyleGAN3Swapper"]
