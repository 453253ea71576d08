"""``mien models``, ``mien build`` and ``mien bench generator`` as typed in a shell."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from mien.networks import read_checkpoint
from mien_streamer.cli import run
from tests.inference.conftest import Machine
from tests.networks.golden import DATA

pytest.importorskip("torch", reason="PyTorch is not installed")

Mien = Callable[..., tuple[int, str, str]]
T64 = DATA / "t64.safetensors"


@pytest.fixture
def mien(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Mien:
    """Runs a command line with a library of its own; exit code, stdout, stderr."""
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return code, said.out, said.err

    return call


def test_a_snapshot_is_added_once_and_measured(mien: Mien, tmp_path: Path) -> None:
    from tests.networks.snapshot_writer import write_snapshot

    checkpoint = read_checkpoint(T64)
    snapshot = write_snapshot(tmp_path / "some.pkl", checkpoint.init_kwargs, checkpoint.tensors)
    code, out, err = mien("models", "add", "t64", snapshot, "--licence", "CC0-1.0")
    assert (code, err) == (0, "")
    assert "stylegan3-t 64 px" in out
    snapshot.unlink()  # the library has its own copy

    report = tmp_path / "t64.json"
    code, out, err = mien(
        "bench", "generator", "--model", "t64", "--runner", "onnxruntime", "--runs", 3,
        "--json", report,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "1.7 GMAC a picture" in out
    figures = json.loads(report.read_text())
    assert figures["runner"] == "onnxruntime"
    assert figures["device"] == "cpu"
    assert figures["pictures"] == 3
    assert 0 < figures["ms"]["p50"] <= figures["ms"]["p95"] <= figures["ms"]["p99"]
    assert figures["peak_rss_mb"] > 0
    assert figures["peak_gmac_per_s"] > 0
    # A crowded machine may slow either side; the share is what was measured, not a promise.
    assert figures["share_of_peak"] == pytest.approx(
        figures["gmac_per_s"] / figures["peak_gmac_per_s"], rel=0.01
    )

    kept = read_checkpoint(tmp_path / "home" / "models" / "t64.safetensors")
    assert kept.sha256() == checkpoint.sha256()


def test_added_models_are_listed_checked_and_removed(mien: Mien, tmp_path: Path) -> None:
    assert mien("models", "add", "mine", T64)[0] == 0
    code, out, _ = mien("models", "list")
    assert code == 0
    assert "mine" in out
    assert "face_landmark_with_attention" in out, "the bundled ones are listed too"
    entries = {item["name"]: item for item in json.loads(mien("models", "list", "--json")[1])}
    assert entries["mine"]["origin"] == "user"
    assert entries["dlib_face128"]["origin"] == "bundled"
    facts = json.loads(mien("models", "info", "mine", "--json")[1])
    assert facts["resolution"] == 64
    assert facts["source"] == "t64.safetensors"

    code, out, _ = mien("models", "verify")
    assert code == 0
    assert "mine: whole" in out
    weights = tmp_path / "home" / "models" / "mine.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    code, out, err = mien("models", "verify")
    assert code == 4
    assert "have changed" in err
    assert "dlib_face128: whole" in out

    assert mien("models", "remove", "mine")[0] == 0
    assert list(weights.parent.iterdir()) == []
    assert mien("models", "remove", "mine")[0] == 4


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["models", "add", "Bad Name", T64], 2, "cannot be called"),
        (["models", "add", "../up", T64], 2, "cannot be called"),
        (["models", "add", "dlib_face128", T64], 2, "ships"),
        (["models", "remove", "dlib_face128"], 2, "ships with mien"),
        (["models", "add", "x", "nowhere.pkl"], 3, "there is no file"),
        (["models", "info", "nothing"], 2, "no model is called"),
        (["bench", "generator"], 2, "name one generator"),
        (["bench", "generator", "--model", "x", "--random", "live"], 2, "exclude"),
        (["bench", "generator", "--random", "huge"], 2, "no preset"),
        (["bench", "generator", "--model", "nothing"], 4, "there is no model"),
        (["bench", "generator", "--model", T64, "--runner", "tensorrt", "--device", "cpu"], 2,
         "does not run on cpu"),
        (["build", "--swapper", "mesh"], 2, "has nothing to build"),
        (["build"], 4, "no generator to build"),
        (["build", "--model", "nothing"], 4, "there is no model"),
    ],
)  # fmt: skip
def test_wrong_calls_say_what_and_what_to_do(
    mien: Mien, arguments: list[object], code: int, says: str
) -> None:
    got, _, err = mien(*arguments)
    assert got == code
    assert says in err
    assert "Traceback" not in err


def test_hostile_and_damaged_files_add_nothing(mien: Mien, tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "executed"),)  # type: ignore[return-value]

    hostile = tmp_path / "evil.pkl"
    hostile.write_bytes(pickle.dumps({"G_ema": Evil()}))
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(T64.read_bytes()[:1000])
    shutil.copy(T64.with_suffix(".json"), cut.with_suffix(".json"))
    for file in (hostile, cut):
        code, _, err = mien("models", "add", "evil", file)
        assert code == 3
        assert err.startswith("error:")
    assert not (tmp_path / "executed").exists()
    assert "evil" not in mien("models", "list")[1]


def test_a_taken_name_is_replaced_only_when_forced(mien: Mien) -> None:
    assert mien("models", "add", "mine", T64)[0] == 0
    code, _, err = mien("models", "add", "mine", DATA / "r64.safetensors")
    assert code == 2
    assert "--force" in err
    assert mien("models", "add", "mine", DATA / "r64.safetensors", "--force")[0] == 0
    assert "stylegan3-r" in mien("models", "info", "mine")[1]


def test_build_without_tensorrt_exits_with_four(
    mien: Mien, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorrt", None)
    code, _, err = mien("build", "--model", T64)
    assert code == 4
    assert "TensorRT cannot be imported" in err
    assert "mien[gpu]" in err


def test_build_compiles_once_and_says_what_it_costs(
    machine: Machine, mien: Mien, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mien.swappers.stylegan3.on_gpu.cache_folder", lambda: tmp_path)
    mien("models", "add", "mine", T64)
    code, out, err = mien("build", "--swapper", "stylegan3", "--precision", "fp32")
    assert code == 0, err
    assert "1.7 GMAC a picture" in out
    assert "takes minutes" in out
    assert "built in" in out
    # What was added, and the generator that ships with its encoder.
    assert machine.state.builds == 3
    assert "encoder: " in out
    code, out, _ = mien("build", "--model", "mine", "--precision", "fp32")
    assert code == 0
    assert "there already" in out
    assert machine.state.builds == 3


def test_build_compiles_what_the_tracker_opens(
    machine: Machine, mien: Mien, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mien.perception._engines.cache_folder", lambda: tmp_path)
    code, out, err = mien("build", "--perception")
    assert code == 0, err
    assert out.count("built in") == machine.state.builds == 8
    code, out, _ = mien("build", "--perception")
    assert out.count("there already") == 8
    code, _, err = mien("build", "--perception", "--folder", str(tmp_path))
    assert code == 2
    assert "leave out --folder" in err


def test_the_presets_can_be_measured_without_a_file(mien: Mien) -> None:
    code, out, err = mien(
        "bench", "generator", "--random", "live", "--runner", "torch", "--device", "cpu",
        "--runs", 3, "--budget", 1,
    )  # fmt: skip
    assert code == 0, err
    assert "random-live" in out
    assert "of a matrix product" in out
