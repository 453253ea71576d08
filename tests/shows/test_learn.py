"""Learning a pad, and the keys of the window."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from pythonosc.udp_client import SimpleUDPClient

from mien.errors import DeviceError, MienError, ShowError
from mien.look import EVERYONE
from mien.shows import ShowPlayer, parse_show
from mien.shows.show import Trigger
from mien_streamer.controls.desk import Desk
from mien_streamer.controls.hotkeys import Action
from mien_streamer.controls.keyboard import ShowKeys
from mien_streamer.controls.learn import hear, learn_into, with_trigger
from tests.shows.shows import HEAD, cue, show_of

TEXT = HEAD + "# the first\n" + cue("one", at="1s") + "\n# the second\n" + cue("two", to="mei")


def test_a_trigger_is_written_into_its_cue_and_all_else_stays() -> None:
    learned = with_trigger(TEXT, "one", "midi", "note 36 channel 10")
    added = [line for line in learned.splitlines() if line not in TEXT.splitlines()]
    assert added == ['midi = "note 36 channel 10"']
    assert len(learned.splitlines()) == len(TEXT.splitlines()) + 1
    show, problems = parse_show(learned)
    assert show is not None, problems
    assert show.cues[0].triggers == (Trigger("midi", "note 36 channel 10"),)
    assert show.cues[1].triggers == ()


def test_another_trigger_of_the_kind_is_replaced() -> None:
    once = with_trigger(TEXT, "two", "osc", "/a")
    twice = with_trigger(once, "two", "osc", "/b")
    assert len(twice.splitlines()) == len(once.splitlines())
    show, _ = parse_show(twice)
    assert show is not None
    assert show.cues[1].triggers == (Trigger("osc", "/b"),)


def test_what_cannot_be_learned(tmp_path: Path) -> None:
    with pytest.raises(ShowError, match="one, two"):
        with_trigger(TEXT, "three", "osc", "/a")
    with pytest.raises(ShowError, match="line 13"):
        with_trigger(HEAD + cue("one", to="eve"), "one", "osc", "/a")
    with pytest.raises(DeviceError, match="nothing was heard"):
        hear(osc="127.0.0.1:0", midi=None, wait_s=0.05)
    path = tmp_path / "show.toml"
    path.write_text(TEXT)
    learn_into(path, "one", "key", "k")
    assert 'key = "k"' in path.read_text()
    assert [entry.name for entry in tmp_path.iterdir()] == ["show.toml"]


def test_the_first_message_heard_is_learned(free_port: int) -> None:
    def press() -> None:
        client = SimpleUDPClient("127.0.0.1", free_port)
        for _ in range(100):
            client.send_message("/pad/7", 1)
            time.sleep(0.02)
        client._sock.close()

    presser = threading.Thread(target=press)
    presser.start()
    assert hear(osc=str(free_port), midi=None, wait_s=5.0) == ("osc", "/pad/7")
    presser.join()


def test_keys_of_the_window() -> None:
    player = ShowPlayer(
        show_of(cue("one", transition="cut"), cue("two", key="2", to="mei", transition="cut"))
    )
    keys = ShowKeys(player)
    player.advance(0.0)
    worn = []
    for press in ("2", "Backspace"):
        assert keys.press(press)
        player.advance(1.0)
        worn.append(player.state().wears[EVERYONE])
    assert keys.act(Action.NEXT_PERSONA)
    player.advance(2.0)
    worn.append(player.state().wears[EVERYONE])
    assert worn == ["mei", "ada", "kai"]
    assert keys.press("pause")
    player.advance(3.0)
    assert player.state().holding
    assert not keys.press("x")
    assert not keys.act(Action.PANIC)


def test_a_desk_that_cannot_open_a_port_closes_the_others(free_port: int) -> None:
    player = ShowPlayer(show_of(cue("one")))
    with pytest.raises(MienError):
        Desk(player, osc=str(free_port), midi="no such pad")
    with Desk(player, osc=str(free_port), osc_out=f"127.0.0.1:{free_port}"):
        pass
