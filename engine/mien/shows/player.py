"""Plays a show: which cue fires when, and what everybody wears at any moment.

Rules:

* Cues fire in the order of their moments. Of several at the same moment for the same
  performer the highest priority wins, then the one later in the file; the others count as
  played, and are reported as overruled.
* A cue starts from what is shown: a transition that it interrupts goes on from there. A cue
  that is under way is not started again.
* A cue to a persona that is not ready waits, and says so; the face on stage stays. A newer
  cue for the same performer takes its place.
* A timed cue fires once. A clock that jumps ahead fires what lies between, in order; one
  that is rewound arms the cues ahead of it again. The face stays either way.
* An onset fires the cues that wait for any, the one that waits to be next, and once each those
  whose time has come.
* HOLD stops the show's clock, not a transition that is under way.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from mien.look import EVERYONE, Look, dominant
from mien.shows._due import SAME_MOMENT_S, Due, Follow
from mien.shows._inbox import Inbox
from mien.shows.clock import ShowClock
from mien.shows.show import BARE, SLATE, Cue, Show, TriggerKind, follows_at_s
from mien.shows.stage import change_by, opening
from mien.shows.state import CueState, Event, EventKind, PlayerState

_HISTORY = 200
_EVENTS: dict[CueState, EventKind] = {
    "running": "fired",
    "waiting": "waiting",
    "overruled": "overruled",
}


class ShowPlayer:
    """One show under way.

    ``advance``, ``looks`` and the seeking belong to the thread of the frames. ``go``,
    ``back``, ``hold``, ``fire``, ``trigger`` and ``state`` may be called from any.

    Args:
        show: what to play.
        ready: whether a persona (by its name in the show) can be shown now.
        clock: the run's clock, seconds, used to stamp what comes from outside; the times
            given to ``advance`` are of the same clock. None stamps it with the next frame.

    Attributes:
        started_s: the run's clock at the first ``advance``.
    """

    def __init__(
        self,
        show: Show,
        *,
        ready: Callable[[str], bool] = lambda name: True,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.show = show
        self._ready = ready
        self._inbox = Inbox(show, clock)
        self._place = {cue.name: place for place, cue in enumerate(show.cues)}
        self._planned = show.planned_s()
        self._lock = threading.RLock()
        self._listeners: list[Callable[[Event], None]] = []
        self._restart()

    def _restart(self) -> None:
        self._now_s = 0.0
        self._started = False
        self.started_s = 0.0
        self._clock = ShowClock()
        self._fired: set[str] = set()
        self._states: dict[str, CueState] = {cue.name: "ahead" for cue in self.show.cues}
        self._current: str | None = None
        self._waiting: dict[str, Due] = {}
        self._follows: list[Follow] = []
        self._history: list[str] = []
        self._message = ""
        self._changes = {role: opening(self.show, role) for role in self.show.roles}

    # From outside, in any thread.

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Have every event told to ``listener``, in the thread of the frames; it must be quick."""
        self._listeners.append(listener)

    def wants(self, kind: TriggerKind, address: str) -> bool:
        """True when a cue waits for this trigger."""
        return self._inbox.wants(kind, address)

    def trigger(self, kind: TriggerKind, address: str, *, at_s: float | None = None) -> bool:
        """Something came in from outside; False when no cue wants it. Cheap enough for a flood.

        ``at_s`` is when, on the run's clock, where that is known better than by now.
        """
        return self._inbox.trigger(kind, address, at_s)

    def onset(self, at_s: float | None = None) -> None:
        """Something began to sound: fires the cues that wait for it."""
        self._inbox.onset(at_s)

    def fire(self, name: str, why: str = "button") -> bool:
        """Fire a cue by its name; False when there is none."""
        return self._inbox.fire(name, why)

    def go(self) -> None:
        """Fire the cue after the current one."""
        self._inbox.order("go")

    def back(self) -> None:
        """Return to what the cue before the current one showed."""
        self._inbox.order("back")

    def hold(self, on: bool | None = None) -> None:
        """Stop the show's clock or let it go on; None turns it over."""
        self._inbox.order("hold" if on is None else "hold on" if on else "hold off")

    def state(self) -> PlayerState:
        """A picture of the moment, for the wings."""
        with self._lock:
            now_s, show_s = self._now_s, self._clock.show_s
            bar, beat = self.show.tempo.bar_and_beat(show_s)
            return PlayerState(
                show_s=show_s,
                bar=bar,
                beat=beat,
                holding=self._clock.is_held,
                current=self._current,
                next=self._next_name([]),
                cues=dict(self._states),
                planned_s={cue.name: self._planned.get(cue.name) for cue in self.show.cues},
                wears={role: _worn(change.look(now_s)) for role, change in self._changes.items()},
                progress=min(change.share(now_s) for change in self._changes.values()),
                waiting=tuple(due.cue.name for due in self._waiting.values()),
                message=self._message,
            )

    # In the thread of the frames.

    def advance(self, now_s: float, show_s: float | None = None) -> None:
        """Bring everything up to a moment.

        Args:
            now_s: the run's clock; a time before the last one counts as the last one.
            show_s: the show's clock where another machine gives it; None counts from the
                first call on.
        """
        with self._lock:
            if not self._started:
                self._start(now_s)
            before_s, now_s = self._now_s, max(now_s, self._now_s)
            self._now_s = now_s
            due = self._take_orders(before_s)
            if self._clock.tick(now_s, show_s):
                self._rewind()
            due += self._due_by_onset(before_s, due)
            self._play(due + self._due_by_time() + self._due_waiting())
            self._settle()

    def looks(self) -> dict[str, Look]:
        """What every role wears at the moment of the last ``advance``."""
        with self._lock:
            return {role: change.look(self._now_s) for role, change in self._changes.items()}

    def seek(self, show_s: float) -> None:
        """Start over at a show time, with all that the clock fires before it already played."""
        with self._lock:
            self._restart()
            ready, self._ready = self._ready, lambda name: True
            listeners, self._listeners = self._listeners, []
            try:
                self.advance(0.0)
                self.advance(show_s)
            finally:
                self._ready, self._listeners = ready, listeners
            self._started = False

    def start_from(self, name: str) -> float:
        """Start over so that this cue comes next; returns the show time to begin at.

        A timed cue is met at its time; any other fires at once, after all before it in
        the file.

        Raises:
            KeyError: no cue has this name.
        """
        place = self._place[name]
        if name in self._planned:
            start_s = self._planned[name]
            self.seek(max(start_s - 2 * SAME_MOMENT_S, 0.0))
            self._clock.show_s = start_s
            return start_s
        with self._lock:
            self._restart()
            for cue in self.show.cues[:place]:
                self._begin(Due(0.0, cue, "seek", self._place[cue.name]))
                self._changes = {role: was.shifted(-1e6) for role, was in self._changes.items()}
            self._follows.clear()
            self._settle()
        self._inbox.fire(name, "go")
        return 0.0

    # Steps of advance(), in order.

    def _start(self, now_s: float) -> None:
        """Let the first moment of the run be where the playhead stands."""
        later_s = now_s - self._now_s
        self._changes = {role: was.shifted(later_s) for role, was in self._changes.items()}
        self._clock.start(now_s)
        self._now_s = self.started_s = now_s
        self._started = True

    def _take_orders(self, before_s: float) -> list[Due]:
        """What was asked for since the last moment, each at its own."""
        due = [
            self._due(name, self._between(before_s, stamp_s), why)
            for name, why, stamp_s in self._inbox.take_cues()
        ]
        for order, stamp_s in self._inbox.take_orders():
            time_s = self._between(before_s, stamp_s)
            if order == "go":
                name = self._next_name(due) or ""
                due += [self._due(name, time_s, "go")] if name else []
            elif order == "back":
                self._step_back(time_s)
            else:
                self._clock.hold({"hold on": True, "hold off": False}.get(order), time_s)
        return due

    def _due_by_onset(self, before_s: float, ordered: list[Due]) -> list[Due]:
        due: list[Due] = []
        for stamp_s in self._inbox.take_onsets():
            time_s = self._between(before_s, stamp_s)
            show_s = self._clock.show_s - (self._now_s - time_s)
            following = self._next_name(ordered + due)
            taken = {one.cue.name for one in due} | self._fired
            for cue, trigger in self._inbox.on_onset:
                armed = trigger.address == "any" or (
                    trigger.from_s <= show_s + SAME_MOMENT_S and cue.name not in taken
                    if trigger.address == "from"
                    else cue.name == following
                )
                due += [self._due(cue.name, time_s, "onset")] if armed else []
        return due

    def _due_by_time(self) -> list[Due]:
        """Timed cues up to the playhead, each at its own moment on the run's clock."""
        playhead_s = self._clock.show_s + SAME_MOMENT_S
        return [
            self._due(cue.name, self._run_time(cue.at_s), "time")
            for cue in self.show.cues
            if cue.at_s is not None and cue.at_s <= playhead_s and cue.name not in self._fired
        ]

    def _due_waiting(self) -> list[Due]:
        """Cues whose persona has become ready; they start now, not when they should have."""
        ready = [due for due in self._waiting.values() if self._is_ready(due.cue)]
        for due in ready:
            del self._waiting[due.cue.performer]
            due.time_s = self._now_s
        return ready

    def _due_after(self) -> list[Due]:
        due = []
        for follow in self._follows:
            for cue in list(follow.pending):
                show_s = follows_at_s(self.show, follow.cue, follow.start_show_s, cue)
                if show_s <= self._clock.show_s + SAME_MOMENT_S:
                    follow.pending.remove(cue)
                    due.append(self._due(cue.name, self._run_time(show_s), "after"))
        self._follows = [follow for follow in self._follows if follow.pending]
        return due

    def _play(self, due: list[Due]) -> None:
        """Fire what is due, and what follows from it, in the order of the moments."""
        while True:
            due += self._due_after()
            if not due:
                return
            due.sort(key=Due.rank)
            first = due.pop(0)
            if any(first.gives_way_to(other) for other in due):
                self._mark(first, "overruled")
            elif self._is_ready(first.cue):
                if not self._is_under_way(first):
                    self._begin(first)
            else:
                self._wait(first)

    def _begin(self, due: Due) -> None:
        cue = due.cue
        show_s = self._clock.show_s - (self._now_s - due.time_s)
        roles = self._roles(cue)
        for role in roles:
            before = self._changes[role].look(due.time_s)
            self._changes[role] = change_by(self.show, cue, before, due.time_s, show_s)
        self._waiting = {
            role: waiting
            for role, waiting in self._waiting.items()
            if role not in roles and cue.performer != EVERYONE
        }
        self._follows = [follow for follow in self._follows if follow.cue is not cue]
        followers = [other for other in self.show.cues if other.after == cue.name]
        if followers:
            self._follows.append(Follow(cue, show_s, followers))
        self._current = cue.name
        if due.why != "back":
            self._history = [*self._history[-_HISTORY:], cue.name]
        self._message = ""
        self._mark(due, "running")

    def _wait(self, due: Due) -> None:
        self._waiting[due.cue.performer] = due
        self._message = f"{due.cue.name} waits until {due.cue.to} is ready"
        self._mark(due, "waiting")

    def _mark(self, due: Due, state: CueState) -> None:
        name = due.cue.name
        self._fired.add(name)
        self._states[name] = state
        show_s = self._clock.show_s - (self._now_s - due.time_s)
        self._tell(Event(due.time_s, show_s, _EVENTS[state], name, due.why))

    def _settle(self) -> None:
        """Note which transitions have ended, and which cues wait no more."""
        running = {change.cue for change in self._changes.values() if change.end_s > self._now_s}
        waiting = {due.cue.name for due in self._waiting.values()}
        for name, state in self._states.items():
            if state == "running" and name not in running:
                self._states[name] = "done"
                self._tell(Event(self._now_s, self._clock.show_s, "ended", name))
            elif state == "waiting" and name not in waiting:
                self._states[name] = "overruled"

    def _rewind(self) -> None:
        """Arm what lies ahead of the playhead again."""
        ahead = {name for name, time_s in self._planned.items() if time_s >= self._clock.show_s}
        ahead |= {
            cue.name
            for cue, trigger in self._inbox.on_onset
            if trigger.address == "from" and trigger.from_s >= self._clock.show_s
        }
        self._fired -= ahead
        self._states.update({name: "ahead" for name in ahead})
        self._tell(Event(self._now_s, self._clock.show_s, "rewound", ""))

    def _step_back(self, time_s: float) -> None:
        """The look of the cue before, at its own pace; the cue left is GO's next again."""
        if not self._history:
            return
        self._states[self._history.pop()] = "ahead"
        self._waiting.clear()
        if self._history:
            self._begin(self._due(self._history[-1], time_s, "back"))
            return
        self._current = None
        self._changes = {role: opening(self.show, role) for role in self.show.roles}

    # Small questions.

    def _due(self, name: str, time_s: float, why: str) -> Due:
        place = self._place[name]
        return Due(time_s, self.show.cues[place], why, place)

    def _between(self, before_s: float, stamp_s: float | None) -> float:
        return self._now_s if stamp_s is None else min(max(stamp_s, before_s), self._now_s)

    def _run_time(self, show_s: float) -> float:
        """The run's clock at a show time that has just passed."""
        return self._now_s - max(self._clock.show_s - show_s, 0.0)

    def _is_ready(self, cue: Cue) -> bool:
        return cue.to is None or self._ready(cue.to)

    def _is_under_way(self, due: Due) -> bool:
        changes = [self._changes[role] for role in self._roles(due.cue)]
        return all(change.cue == due.cue.name and change.end_s > due.time_s for change in changes)

    def _roles(self, cue: Cue) -> tuple[str, ...]:
        return self.show.roles if cue.performer == EVERYONE else (cue.performer,)

    def _next_name(self, due: list[Due]) -> str | None:
        last = due[-1].cue.name if due else self._current
        place = 0 if last is None else self._place[last] + 1
        return self.show.cues[place].name if place < len(self.show.cues) else None

    def _tell(self, event: Event) -> None:
        for listener in self._listeners:
            listener(event)


def _worn(look: Look) -> str:
    return SLATE if look.slate else dominant(look.face) or BARE
