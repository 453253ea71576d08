"""Running networks: one protocol, three runners, and a choice that says why.

Importing this package imports neither PyTorch nor TensorRT; making their runners does.
"""

from mien.inference.choose import RUNNERS, RunnerName, RunnerOptions, make_runner
from mien.inference.cost import SynthesisCost, synthesis_cost
from mien.inference.engine_cache import EngineCache
from mien.inference.library import ModelLibrary, UserModel
from mien.inference.model import GeneratorModel, Model, OnnxModel, as_model, cache_folder
from mien.inference.runner import PRECISIONS, DeviceArray, Precision, Runner, TensorSpec

__all__ = [
    "PRECISIONS",
    "RUNNERS",
    "DeviceArray",
    "EngineCache",
    "GeneratorModel",
    "Model",
    "ModelLibrary",
    "OnnxModel",
    "Precision",
    "Runner",
    "RunnerName",
    "RunnerOptions",
    "SynthesisCost",
    "TensorSpec",
    "UserModel",
    "as_model",
    "cache_folder",
    "make_runner",
    "synthesis_cost",
]
