"""The user's generators: weight files, converted once to safetensors, by name."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import platformdirs

from mien.errors import InputError, ModelError, OutputError, UsageError
from mien.inference.cost import synthesis_cost
from mien.inference.engine_cache import file_sha256, write_atomically
from mien.networks.checkpoint import read_checkpoint, save_checkpoint

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_WEIGHTS, _RECORD = ".safetensors", ".record.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserModel:
    """What is known of one model of the library.

    Attributes:
        name: as the user called it.
        network: ``stylegan3-t`` or ``stylegan3-r``.
        resolution: pixels of a side.
        gmac: multiply-adds of a picture, in 10^9.
        licence: in the user's words; weights keep the licence of whoever trained them.
        source: name of the file that it came from.
        source_sha256: of that file.
        weights_sha256: of the converted file.
        added: UTC time.
    """

    name: str
    network: str
    resolution: int
    gmac: float
    licence: str
    source: str
    source_sha256: str
    weights_sha256: str
    added: str


def default_models_folder() -> Path:
    """Where the user's models are on this system."""
    return Path(platformdirs.user_data_dir("mien", appauthor=False)) / "models"


class ModelLibrary:
    """A folder of converted weight files. Holds no open file; any thread may use it."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else default_models_folder()

    def add(
        self, name: str, file: str | Path, *, licence: str = "", replace: bool = False
    ) -> UserModel:
        """Converts a weight file and keeps it under a name.

        Args:
            name: lower-case letters, digits, ``.``, ``_``, ``-``.
            file: a StyleGAN3 ``.pkl``, or a ``.safetensors`` with its ``.json``.
            licence: what the weights may be used for, in the user's words.
            replace: overwrite a model of this name.

        Raises:
            UsageError: the name will not do or is taken.
            InputError: there is no such file.
            ModelError: the file is damaged, hostile or holds another network.
            OutputError: the library cannot be written.
        """
        _check_name(name)
        if not replace and self.path(name).exists():
            raise UsageError(
                f"there is a model called {name!r} already", "choose another name or add --force"
            )
        if not Path(file).is_file():
            raise InputError(f"there is no file {file}", "check the path")
        checkpoint = read_checkpoint(file)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.folder}: {error.strerror or error}", "check its permissions"
            ) from error
        self._record_path(name).unlink(missing_ok=True)  # nothing half replaced looks whole
        save_checkpoint(checkpoint, self.path(name))
        config = checkpoint.config
        model = UserModel(
            name=name,
            network="stylegan3-r" if config.conv_kernel == 1 else "stylegan3-t",
            resolution=config.img_resolution,
            gmac=round(synthesis_cost(config).gmac, 1),
            licence=licence,
            source=Path(file).name,
            source_sha256=file_sha256(file),
            weights_sha256=file_sha256(self.path(name)),
            added=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_atomically(self._record_path(name), json.dumps(asdict(model), indent=1).encode())
        return model

    def names(self) -> list[str]:
        """Names of all models, sorted."""
        if not self.folder.is_dir():
            return []
        found = (path.name.removesuffix(_RECORD) for path in self.folder.glob(f"*{_RECORD}"))
        return sorted(name for name in found if _NAME.fullmatch(name))

    def path(self, name: str) -> Path:
        """The weight file of a name, whether it exists or not."""
        _check_name(name)
        return self.folder / (name + _WEIGHTS)

    def info(self, name: str) -> UserModel:
        """What is known of a model.

        Raises:
            ModelError: there is none, or its record is damaged.
        """
        path = self._record_path(name)
        try:
            record: Any = json.loads(path.read_bytes())
            return UserModel(**record)
        except FileNotFoundError:
            raise ModelError(f"no model is called {name!r}", _names_hint(self.names())) from None
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(
                f"the record of {name!r} is damaged: {error}", "add the model again with --force"
            ) from error

    def verify(self, name: str) -> None:
        """Raises ModelError unless the weight file is as it was added."""
        wanted = self.info(name).weights_sha256
        path = self.path(name)
        if not path.is_file():
            raise ModelError(
                f"the weights of {name!r} are gone", "add the model again with --force"
            )
        if file_sha256(path) != wanted:
            raise ModelError(f"the weights of {name!r} have changed", "add the model again")
        read_checkpoint(path)

    def remove(self, name: str) -> None:
        """Deletes a model.

        Raises:
            ModelError: there is none.
        """
        if not self._record_path(name).exists() and not self.path(name).exists():
            raise ModelError(f"no model is called {name!r}", _names_hint(self.names()))
        for path in (
            self._record_path(name),
            self.path(name),
            self.path(name).with_suffix(".json"),
        ):
            path.unlink(missing_ok=True)

    def resolve(self, name_or_path: str) -> Path:
        """The weight file that the user means: a path, or a name of the library.

        Raises:
            ModelError: neither.
        """
        path = Path(name_or_path)
        if path.suffix.lower() in (".pkl", ".safetensors", ".onnx") and path.is_file():
            return path
        if _NAME.fullmatch(name_or_path) and self.path(name_or_path).is_file():
            return self.path(name_or_path)
        raise ModelError(
            f"there is no model {name_or_path!r}, neither a file nor in the library",
            _names_hint(self.names()),
        )

    def _record_path(self, name: str) -> Path:
        _check_name(name)
        return self.folder / (name + _RECORD)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a model cannot be called {name!r}",
            "use lower-case letters, digits, '.', '_' and '-', starting with a letter or digit",
        )


def _names_hint(names: list[str]) -> str:
    if not names:
        return "mien models add NAME FILE brings one in"
    return f"one of: {', '.join(names)}"
