"""The house itself: metadata, licences, entry points and build files agree with each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "mien": ROOT / "engine" / "mien",
    "mien_streamer": ROOT / "streamer" / "mien_streamer",
    "mien_benchmarks": ROOT / "benchmarks" / "mien_benchmarks",
}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_change_log_knows_the_version() -> None:
    version = project()["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_notice_names_every_model() -> None:
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    models = PACKAGES["mien"] / "models"
    for model in [*models.glob("*.onnx"), *models.glob("*.safetensors")]:
        assert model.name in notice, f"NOTICE does not say where {model.name} comes from"


def test_every_package_is_typed_and_in_the_wheel() -> None:
    listed = project()["tool"]["scikit-build"]["wheel"]["packages"]
    for name, folder in PACKAGES.items():
        assert (folder / "py.typed").is_file(), f"{name} lacks py.typed"
        assert folder.relative_to(ROOT).as_posix() in listed


def test_the_distribution_installs_the_command_and_the_mesh_swapper() -> None:
    scripts = {e.name: e.value for e in entry_points(group="console_scripts")}
    assert scripts.get("mien") == "mien_streamer.cli:main"
    [mesh] = entry_points(group="mien.swappers", name="mesh")
    assert callable(mesh.load())


def test_importing_the_engine_pulls_in_nothing_heavy() -> None:
    """The command line must start at once; optional libraries are imported where they are used."""
    code = "import sys, mien, mien_streamer; print(sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name in ("torch", "pygame", "tensorrt", "pycuda", "aiortc", "mediapipe", "onnx"):
        assert f"'{name}'" not in run.stdout, name


def test_sources_name_no_package_of_ours_that_does_not_exist() -> None:
    pattern = re.compile(r"^\s*(?:from|import)\s+(mien\w*)", re.MULTILINE)
    for folder in PACKAGES.values():
        for path in folder.rglob("*.py"):
            for name in pattern.findall(path.read_text(encoding="utf-8")):
                assert name in PACKAGES, f"{path} imports {name}"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not on this machine")
def test_a_hint_does_not_say_try_twice() -> None:
    """The command line puts "try: " before each."""
    sources = [
        p for top in ("engine", "streamer", "benchmarks") for p in (ROOT / top).rglob("*.py")
    ]
    assert len(sources) > 100
    for path in sources:
        assert not re.search(r'"try [A-Za-z]', path.read_text(encoding="utf-8")), path.name


@pytest.mark.parametrize("target", ["demo", "test", "lint", "cuda-check", "wheel", "stub", "clean"])
def test_make_knows_its_targets(target: str) -> None:
    command = ["make", "-n", "-C", str(ROOT), target]
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not on this machine")
@pytest.mark.parametrize("script", ["run", "set-up"])
def test_scripts_parse(script: str) -> None:
    subprocess.run(["bash", "-n", str(ROOT / ".ci" / script)], check=True)


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell script")
def test_set_up_says_what_to_type_where_it_may_not_install(tmp_path: Path) -> None:
    """A machine with neither Python nor compiler, and a user who may not become root."""
    tools = tmp_path / "bin"
    tools.mkdir()
    bash = shutil.which("bash")
    assert bash is not None
    for name in ("tr", "cat"):
        found = shutil.which(name)
        assert found is not None
        (tools / name).symlink_to(found)
    for name, body in {
        "id": "echo 1000",
        "sudo": "exit 1",
        "apt-get": "echo must not be called; exit 9",
        "uname": "echo Linux",
    }.items():
        (tools / name).write_text(f"#!{bash}\n{body}\n", encoding="utf-8")
        (tools / name).chmod(0o755)
    run = subprocess.run(
        [bash, str(ROOT / ".ci" / "set-up"), str(tmp_path / "venv")],
        env={"PATH": str(tools)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    expected = "sudo apt-get update && sudo apt-get install -y python3 python3-venv python3-dev g++"
    assert expected in run.stderr
    assert not (tmp_path / "venv").exists()


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
