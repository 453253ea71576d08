"""What can be run: an ONNX file as it stands, or a generator that each runner takes in its form."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import platformdirs

from mien.errors import MissingError, ModelError
from mien.inference.runner import Precision, TensorSpec
from mien.networks.checkpoint import Checkpoint, read_checkpoint
from mien.networks.export import export_onnx

if TYPE_CHECKING:
    from mien.networks.stylegan3.generator import Generator

logger = logging.getLogger(__name__)

Device = Literal["cpu", "cuda"]


class Model(Protocol):
    """A network that runners can take.

    Attributes:
        name: for messages.
    """

    name: str

    def onnx_path(self, precision: Precision, device: Device) -> Path:
        """An ONNX file of it in this precision, in the form that suits the device."""
        ...

    def generator(self) -> Generator:
        """The PyTorch module.

        Raises:
            MissingError: PyTorch is missing, or there is no module, only a file.
        """
        ...


def cache_folder() -> Path:
    """Where exports and engines are kept unless another folder is given."""
    return Path(platformdirs.user_cache_dir("mien", appauthor=False))


class OnnxModel:
    """An ONNX file; its precision is the one that it was written in."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.name = self.path.stem
        if not self.path.is_file():
            raise ModelError(f"there is no ONNX file {path}", "check the path")

    def onnx_path(self, precision: Precision, device: Device) -> Path:
        """The file itself."""
        del precision, device
        return self.path

    def generator(self) -> Generator:
        """Raises MissingError: an ONNX file holds no PyTorch module."""
        raise MissingError(
            f"{self.path.name} is an ONNX file, and PyTorch cannot run those",
            "use onnxruntime or tensorrt, or give the weight file",
        )


class GeneratorModel:
    """A StyleGAN3 generator; ONNX files are exported once and kept.

    Args:
        source: a weight file or its content.
        name: for messages; the file's name by default.
        folder: where exports are kept.
    """

    def __init__(
        self,
        source: str | Path | Checkpoint,
        *,
        name: str | None = None,
        folder: str | Path | None = None,
    ) -> None:
        if isinstance(source, Checkpoint):
            self.checkpoint = source
            self.name = name or "generator"
        else:
            self.checkpoint = read_checkpoint(source)
            self.name = name or Path(source).stem
        self.folder = Path(folder) if folder is not None else cache_folder() / "onnx"
        self._generator: Generator | None = None
        self._digest: str | None = None

    @property
    def inputs(self) -> Mapping[str, TensorSpec]:
        """As in the exported ONNX file."""
        config = self.checkpoint.config
        return {
            "ws": TensorSpec("ws", (1, config.num_ws, config.w_dim), "float32"),
            "transform": TensorSpec("transform", (1, 3, 3), "float32"),
        }

    @property
    def outputs(self) -> Mapping[str, TensorSpec]:
        """As in the exported ONNX file."""
        config = self.checkpoint.config
        size = config.img_resolution
        return {"image": TensorSpec("image", (1, config.img_channels, size, size), "float32")}

    def onnx_path(self, precision: Precision, device: Device) -> Path:
        """The export for a device; written on first use.

        Raises:
            MissingError: the onnx package is not installed.
            OutputError: the folder cannot be written.
        """
        if self._digest is None:
            self._digest = self.checkpoint.sha256()
        form = "polyphase" if device == "cpu" else "depthwise"
        path = self.folder / f"{self._digest[:16]}-{precision}-{form}-{_export_version()}.onnx"
        if not path.is_file():
            logger.info("exporting %s to ONNX (%s, %s)", self.name, precision, form)
            path.parent.mkdir(parents=True, exist_ok=True)
            export_onnx(self.checkpoint, path, precision=precision, form=form)
        return path

    def generator(self) -> Generator:
        """The PyTorch module; one for all runners of this model."""
        if self._generator is None:
            from mien.networks.loading import load_generator

            self._generator = load_generator(self.checkpoint)
        return self._generator


def _export_version() -> str:
    from importlib import metadata

    try:
        return metadata.version("mien")
    except metadata.PackageNotFoundError:
        return "0"


def as_model(source: Any, *, folder: str | Path | None = None) -> Model:
    """A model from whatever names one.

    Args:
        source: a :class:`Model`, a checkpoint, or the path of an ``.onnx``, ``.pkl`` or
            ``.safetensors`` file.
        folder: where exports are kept.

    Raises:
        ModelError: the file is missing or cannot be read.
        TypeError: nothing of the kind.
    """
    if isinstance(source, Checkpoint):
        return GeneratorModel(source, folder=folder)
    if isinstance(source, str | Path):
        if Path(source).suffix.lower() == ".onnx":
            return OnnxModel(source)
        return GeneratorModel(source, folder=folder)
    if hasattr(source, "onnx_path") and hasattr(source, "generator"):
        model: Model = source
        return model
    raise TypeError(f"expected a model, a checkpoint or a path, got {type(source).__name__}")
