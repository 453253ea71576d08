"""``mien studio`` and the WebRTC ends of ``mien live``, from the command line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("aiortc", reason="the extra 'webrtc' is not installed")
pytest.importorskip("aiohttp", reason="the extra 'webrtc' is not installed")

from mien.errors import UsageError
from mien_streamer.cli.server_options import check_origins, choose_token
from mien_streamer.webrtc.access import Access, is_loopback
from tests.cli.conftest import Mien
from tests.cli.conftest import mien as mien


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from mien_streamer.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "MIEN_HOME": str(tmp_path), "PYTHONUNBUFFERED": "1"},
    )


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        found = re.search(r"(http://127\.0\.0\.1:\d+)", line)
        if found:
            return found[1]
    raise AssertionError("no address was printed")


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.status, answer.read().decode()


@pytest.mark.slow
def test_the_studio_opens_and_ctrl_c_closes_it(tmp_path: Path) -> None:
    process = start(tmp_path, "studio", "--port", "0", "--source", "demo", "--source", "webrtc")
    try:
        url = address_of(process)
        assert get(f"{url}/healthz") == (200, '{"status": "ok"}')
        assert "mien studio" in get(url)[1]
        end = time.monotonic() + 30
        while not re.search(r"mien_faces_swapped_total [1-9]", get(f"{url}/metrics")[1]):
            assert time.monotonic() < end, get(f"{url}/metrics")[1]
            time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
        assert process.returncode == 0, rest
        assert "Traceback" not in rest
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_live_takes_webrtc_at_both_ends(tmp_path: Path) -> None:
    process = start(
        tmp_path, "live", "-p", "ada", "--source", "webrtc", "--sink", "webrtc",
        "--port", "0", "--duration", "4",
    )  # fmt: skip
    try:
        url = address_of(process)
        assert "Go on stage" in get(f"{url}/perform")[1]
        assert get(f"{url}/whep")[0] == 204
        rest, _ = process.communicate(timeout=60)
        assert process.returncode == 0, rest
        assert "0 frames" in rest
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    "arguments",
    [
        ("studio", "--token", "short"),
        ("studio", "--device", "gpu"),
        ("studio", "--source", "/etc/passwd"),
        ("studio", "--origin", "stage.example"),
        ("studio", "--origin", "https://stage.example/path"),
        ("studio", "--certificate", "nowhere.pem", "--port", "0"),
        ("live", "-p", "ada", "--source", "webrtc", "--sink", "null", "--token", "x"),
    ],
)
def test_wrong_use_is_told_before_anything_opens(mien: Mien, arguments: tuple[str, ...]) -> None:
    result = mien(*arguments)
    assert result.code == 2, result.err
    assert len(result.err.strip().splitlines()) <= 4


def test_a_token_is_made_up_where_others_can_come_in() -> None:
    assert choose_token("127.0.0.1", None, encrypted=False) is None
    assert choose_token("::1", "long enough", encrypted=False) == "long enough"
    made = choose_token("0.0.0.0", None, encrypted=True)
    assert made is not None
    assert len(made) >= 20
    assert made != choose_token("0.0.0.0", None, encrypted=True)
    with pytest.raises(UsageError, match="guessed"):
        choose_token("127.0.0.1", "1234567", encrypted=True)


def test_origins_are_kept_as_browsers_send_them() -> None:
    assert check_origins(None) == frozenset()
    assert check_origins(["https://a.example:8443"]) == {"https://a.example:8443"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.1.2", False),
        ("localhost.evil.example", False),
        ("", False),
    ],
)
def test_only_this_machines_names_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_caller_is_slowed_down_and_forgiven() -> None:
    now = [0.0]
    access = Access(posts_per_s=2.0, burst=3, clock=lambda: now[0])
    assert [access.may_post("a") for _ in range(4)] == [True, True, True, False]
    assert access.may_post("b")
    now[0] += 0.5
    assert [access.may_post("a") for _ in range(2)] == [True, False]
    for number in range(3000):
        access.may_post(str(number))
    assert len(access._buckets) <= 1024
