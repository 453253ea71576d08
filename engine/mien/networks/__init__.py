"""Neural networks: StyleGAN3's generator, its weight files, its ONNX export.

Importing this package does not import PyTorch; loading a generator does.
"""

from mien.networks.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from mien.networks.export import export_onnx
from mien.networks.loading import load_generator, random_generator
from mien.networks.stylegan3.config import PRESETS, GeneratorConfig

__all__ = [
    "PRESETS",
    "Checkpoint",
    "GeneratorConfig",
    "export_onnx",
    "load_generator",
    "random_generator",
    "read_checkpoint",
    "save_checkpoint",
]
