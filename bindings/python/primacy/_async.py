"""Waiting for a descriptor in an asyncio loop, without a thread."""

import asyncio
from typing import Callable, Optional, Set


class Readiness:
    """Tells the tasks of one loop when a descriptor is readable.

    It is watched only while a task waits. A readable descriptor wakes all of them: whoever finds nothing left waits again.
    """

    def __init__(self, fileno: Callable[[], int]) -> None:
        self._fileno = fileno
        self._watched: Optional[int] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._waiting: "Set[asyncio.Future[None]]" = set()

    async def wait(self) -> None:
        """Until the descriptor may be readable, or `wake` is called."""
        loop = asyncio.get_running_loop()
        if self._waiting and loop is not self._loop:
            raise RuntimeError("a task of another event loop waits for this queue; give each loop a queue of its own")
        self._loop = loop
        future: "asyncio.Future[None]" = loop.create_future()
        self._waiting.add(future)
        if self._watched is None:
            self._watched = self._fileno()
            loop.add_reader(self._watched, self._ready)
        try:
            await future
        finally:
            self._waiting.discard(future)
            if not self._waiting:
                self._unwatch()

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None and self._loop is not None and not self._loop.is_closed():
            self._loop.remove_reader(watched)

    def _ready(self) -> None:
        # Level-triggered: until the tasks have run it would be called again and again.
        self._unwatch()
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def wake(self, then: Optional[Callable[[], None]] = None) -> None:
        """Wakes all who wait, from any thread. `then` runs when the descriptor is no longer watched."""
        loop = self._loop

        def both() -> None:
            self._ready()
            if then is not None:
                then()

        if loop is None or not self._waiting or loop.is_closed():
            if then is not None:
                then()
            return
        try:
            running: Optional[asyncio.AbstractEventLoop] = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is loop:
            both()
        else:
            loop.call_soon_threadsafe(both)
