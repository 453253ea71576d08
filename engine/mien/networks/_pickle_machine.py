"""A pickle reader that cannot run anything.

Python's own unpickler calls whatever a file names. This one interprets the few opcodes that
weight files use over a read-only view of the file. A global is only ever a name: calling one
looks the name up among constructors that the caller supplies, and a name that is not there
becomes an inert :class:`Stub`. Bytes stay views into the file, so a length that lies fails
before anything is allocated; the number of opcodes, and with it memory, is bounded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from mien.errors import ModelError

# Real StyleGAN3 snapshots with discriminator and augmentation need about 30 000 opcodes
# (measured on files of the same make); each costs at most a few hundred bytes here.
MAX_OPCODES: Final = 1_000_000
_MAX_TEXT_BYTES: Final = 8 << 20
_MAX_NAME_BYTES: Final = 1024
_MAX_INTEGER_BYTES: Final = 64

_HINT = "the file is damaged or not a StyleGAN3 snapshot; download or export it again"


def broken(reason: str) -> ModelError:
    """The error for a file that cannot be read."""
    return ModelError(f"the weight file cannot be read: {reason}", _HINT)


@dataclass(frozen=True, slots=True)
class Global:
    """A name in a file; nothing stands behind it."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Stub:
    """An object of a kind that the reader does not know: remembered, never acted on."""

    kind: Global
    arguments: object = None
    state: object = None
    items: dict[object, object] = field(default_factory=dict)


class Buildable:
    """Base of values that a file may complete with a state after they are made."""

    def build(self, state: object) -> None:
        """Takes the state; raises ModelError if it does not fit."""
        raise NotImplementedError


Constructor = Callable[[tuple[Any, ...]], object]
_MARK: Final = object()


class PickleMachine:
    """Interprets one pickle stream.

    Args:
        data: the bytes; not copied.
        constructors: what calling a global yields.
        persistent: what a persistent id yields; None forbids them.
        position: where the stream starts.
    """

    def __init__(
        self,
        data: memoryview,
        constructors: Mapping[Global, Constructor],
        *,
        persistent: Callable[[object], object] | None = None,
        position: int = 0,
    ) -> None:
        self.position = position
        self._data = data
        self._constructors = constructors
        self._persistent = persistent
        self._stack: list[Any] = []
        self._memo: dict[int, object] = {}

    def run(self, *, max_opcodes: int = MAX_OPCODES) -> object:
        """The stream's value; afterwards ``position`` is just behind the stream.

        Raises:
            ModelError: the stream is truncated, malformed, too long or uses an opcode that
                weight files do not use.
        """
        for _ in range(max_opcodes):
            opcode = self._byte()
            if opcode == _STOP:
                return self._pop()
            handler = _HANDLERS.get(opcode)
            if handler is None:
                raise broken(f"opcode {opcode:#04x} is not allowed at byte {self.position - 1}")
            handler(self)
        raise broken(f"more than {max_opcodes} opcodes")

    # Reading ---------------------------------------------------------------------------

    def _take(self, count: int) -> memoryview:
        end = self.position + count
        if end > len(self._data):
            raise broken(f"it ends early: {count} bytes wanted at byte {self.position}")
        view = self._data[self.position : end]
        self.position = end
        return view

    def _byte(self) -> int:
        return self._take(1)[0]

    def _unsigned(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _text(self, count: int, limit: int = _MAX_TEXT_BYTES) -> str:
        if count > limit:
            raise broken(f"a text of {count} bytes")
        try:
            return str(self._take(count), "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise broken("a text is not UTF-8") from error

    def _line(self) -> str:
        window = bytes(self._data[self.position : self.position + _MAX_NAME_BYTES])
        count = window.find(b"\n")
        if count < 0:
            raise broken("a name has no end")
        text = self._text(count, _MAX_NAME_BYTES)
        self.position += 1
        return text

    # Stack -----------------------------------------------------------------------------

    def _push(self, value: object) -> None:
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise broken("the stack is empty")
        return self._stack.pop()

    def _top(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise broken("the stack is empty")
        return self._stack[-1]

    def _pop_mark(self) -> list[Any]:
        values: list[Any] = []
        while self._stack:
            value = self._stack.pop()
            if value is _MARK:
                values.reverse()
                return values
            values.append(value)
        raise broken("a mark is missing")

    def _pop_count(self, count: int) -> tuple[Any, ...]:
        values = [self._pop() for _ in range(count)]
        return tuple(reversed(values))

    # Opcodes ---------------------------------------------------------------------------

    def proto(self) -> None:
        version = self._byte()
        if not 2 <= version <= 5:
            raise broken(f"pickle protocol {version}")

    def frame(self) -> None:
        length = self._unsigned(8)
        if length > len(self._data) - self.position:
            raise broken("it ends early, inside a frame")

    def long1(self) -> None:
        count = self._byte()
        if count > _MAX_INTEGER_BYTES:
            raise broken(f"an integer of {count} bytes")
        self._push(int.from_bytes(self._take(count), "little", signed=True))

    def find_global(self) -> None:
        module = self._line()
        self._push(Global(module, self._line()))

    def stack_global(self) -> None:
        module, name = self._pop_count(2)
        if not (isinstance(module, str) and isinstance(name, str)):
            raise broken("a global without a name")
        self._push(Global(module, name))

    def get(self, width: int) -> None:
        try:
            self._push(self._memo[self._unsigned(width)])
        except KeyError:
            raise broken("a reference to nothing") from None

    def put(self, width: int) -> None:
        index = self._unsigned(width)
        self._memo[index] = self._top()

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._top()

    def append(self) -> None:
        value = self._pop()
        self._extend(self._top(), [value])

    def appends(self) -> None:
        values = self._pop_mark()
        self._extend(self._top(), values)

    def setitem(self) -> None:
        pair = self._pop_count(2)
        self._assign(self._top(), pair)

    def setitems(self) -> None:
        values = self._pop_mark()
        self._assign(self._top(), values)

    def make_dict(self) -> None:
        table: dict[object, object] = {}
        self._assign(table, self._pop_mark())
        self._push(table)

    def reduce(self) -> None:
        kind, arguments = self._pop_count(2)
        self._push(self._construct(kind, arguments))

    def newobj_ex(self) -> None:
        kind, arguments, _ = self._pop_count(3)
        self._push(self._construct(kind, arguments))

    def build(self) -> None:
        state = self._pop()
        target = self._top()
        if isinstance(target, Buildable):
            target.build(state)
        elif isinstance(target, Stub):
            target.state = state

    def drop(self) -> None:
        self._pop()

    def drop_mark(self) -> None:
        self._pop_mark()

    def persistent_id(self) -> None:
        if self._persistent is None:
            raise broken("it refers to data outside itself")
        self._push(self._persistent(self._pop()))

    @staticmethod
    def _extend(target: object, values: list[Any]) -> None:
        if isinstance(target, list):
            target.extend(values)
        elif not isinstance(target, Stub):
            raise broken("items are added to something that is no list")

    @staticmethod
    def _assign(target: object, values: list[Any] | tuple[Any, ...]) -> None:
        if len(values) % 2:
            raise broken("a key without a value")
        table = target.items if isinstance(target, Stub) else target
        if not isinstance(table, dict):
            raise broken("items are set on something that is no table")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if _is_plain_key(key):
                table[key] = value

    def _construct(self, kind: object, arguments: object) -> object:
        if not isinstance(kind, Global):
            raise broken("a call of something that is no global")
        if not isinstance(arguments, tuple):
            raise broken("a call without arguments")
        constructor = self._constructors.get(kind)
        return Stub(kind, arguments) if constructor is None else constructor(arguments)


def _is_plain_key(key: object) -> bool:
    """Whether hashing ``key`` takes constant time; other entries are dropped, unhashed.

    Tuples of tuples that share their parts take exponential time to hash.
    """
    return key is None or isinstance(key, (str, int, float))


_STOP: Final = ord(".")

_Handler = Callable[[PickleMachine], None]


def _constant(value: object) -> _Handler:
    return lambda machine: machine._push(value)


def _table() -> dict[int, _Handler]:
    """Opcodes by number; whatever is not here is refused."""
    m = PickleMachine
    named: dict[bytes, _Handler] = {
        b"\x80": m.proto,
        b"\x95": m.frame,
        b"N": _constant(None),
        b"\x88": _constant(True),
        b"\x89": _constant(False),
        b")": _constant(()),
        b"(": _constant(_MARK),
        b"}": lambda s: s._push({}),
        b"]": lambda s: s._push([]),
        b"K": lambda s: s._push(s._unsigned(1)),
        b"M": lambda s: s._push(s._unsigned(2)),
        b"J": lambda s: s._push(int.from_bytes(s._take(4), "little", signed=True)),
        b"\x8a": m.long1,
        b"G": lambda s: s._push(struct.unpack(">d", s._take(8))[0]),
        b"\x8c": lambda s: s._push(s._text(s._unsigned(1))),
        b"X": lambda s: s._push(s._text(s._unsigned(4))),
        b"\x8d": lambda s: s._push(s._text(s._unsigned(8))),
        b"C": lambda s: s._push(s._take(s._unsigned(1))),
        b"B": lambda s: s._push(s._take(s._unsigned(4))),
        b"\x8e": lambda s: s._push(s._take(s._unsigned(8))),
        b"\x96": lambda s: s._push(s._take(s._unsigned(8))),
        b"c": m.find_global,
        b"\x93": m.stack_global,
        b"h": lambda s: s.get(1),
        b"j": lambda s: s.get(4),
        b"q": lambda s: s.put(1),
        b"r": lambda s: s.put(4),
        b"\x94": m.memoize,
        b"0": m.drop,
        b"1": m.drop_mark,
        b"2": lambda s: s._push(s._top()),
        b"\x85": lambda s: s._push(s._pop_count(1)),
        b"\x86": lambda s: s._push(s._pop_count(2)),
        b"\x87": lambda s: s._push(s._pop_count(3)),
        b"t": lambda s: s._push(tuple(s._pop_mark())),
        b"l": lambda s: s._push(s._pop_mark()),
        b"d": m.make_dict,
        b"a": m.append,
        b"e": m.appends,
        b"s": m.setitem,
        b"u": m.setitems,
        b"R": m.reduce,
        b"\x81": m.reduce,
        b"\x92": m.newobj_ex,
        b"b": m.build,
        b"Q": m.persistent_id,
        # Sets occur only in parts that are not read; they become lists, unhashed.
        b"\x8f": lambda s: s._push([]),
        b"\x90": m.appends,
        b"\x91": lambda s: s._push(s._pop_mark()),
    }
    return {key[0]: handler for key, handler in named.items()}


_HANDLERS: Final = _table()
