"""Events of an instance."""

import asyncio
import ctypes
import select
from dataclasses import dataclass
from typing import Any, AsyncIterator, Iterable, Iterator, Optional

from . import _abi
from ._async import Readiness
from ._errors import Word
from ._library import encode, library
from ._observation import number
from ._snapshot import _text, word


@dataclass(frozen=True)
class Event:
    """One event. Events are hints; the snapshot is the truth."""

    kind: Word
    severity: Word
    cause: Word
    sequence: int
    mono_ns: int
    wall_ms: int
    epoch: int
    count: int
    old_state: Word
    new_state: Word
    old_status: Word
    new_status: Word
    rule: int
    pool: str
    node: str
    message: str


# After so many events in a row other tasks get their turn.
_IN_A_ROW = 64


class Events:
    """A queue of events, for one consumer.

    `for` takes what is there now and ends when the queue is empty; watch `fileno()` for more.

    `async for` waits for more, in the running loop and without a thread; it ends when this queue or its instance is closed,
    or the instance is stopped, and nothing is left to read. A task that is cancelled while it waits loses no event. Several
    tasks of one loop may read one queue: each event goes to one of them.
    """

    def __init__(
        self,
        instance: Any,
        kinds: Optional[Iterable[str]] = None,
        severity: str = "info",
        pool: Optional[str] = None,
        capacity: int = 1024,
    ) -> None:
        self._handle: Any = None
        self._over = False
        self._taken = 0
        self._readiness = Readiness(self.fileno)
        wanted = _abi.primacy_event_filter(size=ctypes.sizeof(_abi.primacy_event_filter))
        wanted.severity = number("primacy_severity", "PRIMACY_SEVERITY_", severity, "severity")
        for kind in kinds or ():
            wanted.kinds |= 1 << number("primacy_event_kind", "PRIMACY_EVENT_", kind, "kinds")
        if pool is not None:
            wanted.pool = encode(pool, "pool")
        handle = ctypes.POINTER(_abi.primacy_events)()
        library().call("primacy_events_new", instance, ctypes.byref(wanted), capacity, ctypes.byref(handle))
        self._handle = handle

    def fileno(self) -> int:
        """The descriptor to watch: readable while the queue is not empty."""
        return library().call("primacy_events_fd", self._handle)

    @property
    def fd(self) -> int:
        """The same."""
        return self.fileno()

    def next(self) -> Optional[Event]:
        """The next event; None if there is none now."""
        raw = _abi.primacy_event(size=ctypes.sizeof(_abi.primacy_event))
        if not library().call("primacy_events_next", self._handle, ctypes.byref(raw)):
            return None
        return Event(
            kind=word("primacy_event_kind_name", raw.kind),
            severity=word("primacy_severity_name", raw.severity),
            cause=word("primacy_cause_name", raw.cause),
            sequence=raw.sequence,
            mono_ns=raw.mono_ns,
            wall_ms=raw.wall_ms,
            epoch=raw.epoch,
            count=raw.count,
            old_state=word("primacy_state_name", raw.old_state),
            new_state=word("primacy_state_name", raw.new_state),
            old_status=word("primacy_status_name", raw.old_status),
            new_status=word("primacy_status_name", raw.new_status),
            rule=raw.rule,
            pool=_text(raw.pool),
            node=_text(raw.node),
            message=_text(raw.message),
        )

    def wait(self, timeout: Optional[float] = None) -> Optional[Event]:
        """The next event, waiting up to `timeout` seconds; None if none came."""
        event = self.next()
        if event is None:
            poller = select.poll()
            poller.register(self.fileno(), select.POLLIN)
            poller.poll(None if timeout is None else max(0.0, timeout * 1000))
            event = self.next()
        return event

    def __iter__(self) -> Iterator[Event]:
        while (event := self.next()) is not None:
            yield event

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while self._handle is not None:
            if self._taken >= _IN_A_ROW:
                self._taken = 0
                await asyncio.sleep(0)
                continue
            # Nothing is awaited between taking an event and giving it away, so none is lost by a cancellation.
            event = self.next()
            if event is not None:
                self._taken += 1
                return event
            if self._over:
                break
            self._taken = 0
            await self._readiness.wait()
        raise StopAsyncIteration

    def _finish(self) -> None:
        """Nothing will come any more: `async for` ends when the queue is empty."""
        self._over = True
        self._readiness.wake()

    def close(self) -> None:
        """Frees the queue."""
        handle, self._handle = self._handle, None
        if handle is not None:
            # The descriptor's number must not be another one's while a loop still watches it.
            self._readiness.wake(lambda: library().primacy_events_free(handle))

    async def __aenter__(self) -> "Events":
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.close()

    def __enter__(self) -> "Events":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None:
            self.close()
