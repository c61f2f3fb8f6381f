"""Names what blocks the event loop or the database's own thread, and ends a process blocked for good.

A handler that computes, sleeps or waits without `await` stops everybody. After one second its stack
is logged; after fifteen the process ends itself, and the parent of `serve` starts it anew. Nothing
is lost by that: what was acknowledged is committed, and apart jobs go on elsewhere.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Protocol

from prometheus_client import Counter

from app.core.log import get_logger, mask_text

NAMED_AFTER_SECONDS = 1.0
ENDED_AFTER_SECONDS = 15.0
BEAT_SECONDS = 0.2
EXIT_CODE = 70
_LOG = get_logger(__name__)
_BLOCKED = Counter(
    "guanxi_loop_blocked_total", "Times the event loop or a writing thread stood still for a second"
)


@dataclass(slots=True)
class WatchedThread:
    """A thread that runs other people's code in short turns. It marks the turns itself."""

    name: str
    thread_id: int = 0
    since: float | None = None
    """When the present turn began, by `time.monotonic`; None between turns."""
    named: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Called in the thread itself."""
        self.thread_id = threading.get_ident()
        self.since = time.monotonic()

    def end(self) -> None:
        self.since = None

    def silent_seconds(self) -> float:
        since = self.since
        return 0.0 if since is None else time.monotonic() - since


class Witness(Protocol):
    """Knows whose code a stack is. Asked in the watching thread, so it must not wait for the loop."""

    def culprit(self, frame: FrameType) -> str | None:
        """The plugin whose code runs in the frame or in one that called it."""

    def blocked(self, culprit: str) -> None:
        """It has stood still for a second."""

    def given_up(self, culprit: str, seconds: float) -> None:
        """The process ends right after this: what must be known afterwards is written to disk now."""


class Watchdog:
    """Watches the loop that `run` runs in, and `others`."""

    def __init__(
        self,
        ended_after: float = ENDED_AFTER_SECONDS,
        others: Sequence[WatchedThread] = (),
        end: Callable[[], None] | None = None,
        witness: Witness | None = None,
    ) -> None:
        """`end` ends the process; a test may give its own."""
        self._ended_after = ended_after
        self._loop = WatchedThread("loop")
        self._watched = (self._loop, *others)
        self._end = end or _end_process
        self._witness = witness
        self._stopped = threading.Event()

    async def run(self) -> None:
        """Beats until cancelled; the watching thread ends with it."""
        self._loop.begin()
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._loop.begin()
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            for one in self._watched:
                if self._given_up(one):
                    self._end()
                    return

    def _given_up(self, one: WatchedThread) -> bool:
        silent = one.silent_seconds()
        if silent < NAMED_AFTER_SECONDS:
            one.named = False
        elif not one.named:
            one.named = True
            _BLOCKED.inc()
            culprit = self._name(one, silent, "loop.blocked")
            if culprit is not None and self._witness is not None:
                self._witness.blocked(culprit)
        if silent <= self._ended_after:
            return False
        culprit = self._name(one, silent, "loop.given_up")
        if culprit is not None and self._witness is not None:
            self._witness.given_up(culprit, silent)
        return True

    def _name(self, one: WatchedThread, silent: float, event: str) -> str | None:
        """Logs where the thread is right now, and gives the plugin whose code that is."""
        frame = sys._current_frames().get(one.thread_id)  # the only way to see it
        culprit = self._witness.culprit(frame) if self._witness and frame else None
        told = {} if culprit is None else {"plugin": culprit}
        _LOG.error(event, thread=one.name, seconds=round(silent, 1), **told, stack=_stack(frame))
        return culprit


def _stack(frame: FrameType | None) -> str:
    """Innermost call last."""
    return mask_text("".join(traceback.format_stack(frame)[-8:])) if frame else ""


def _end_process() -> None:
    sys.stderr.flush()
    os._exit(EXIT_CODE)
