"""Names what blocks the event loop, and ends a process that is blocked for good.

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
from collections.abc import Callable

from prometheus_client import Counter

from app.core.log import get_logger, mask_text

NAMED_AFTER_SECONDS = 1.0
ENDED_AFTER_SECONDS = 15.0
BEAT_SECONDS = 0.2
EXIT_CODE = 70
_LOG = get_logger(__name__)
_BLOCKED = Counter(
    "guanxi_loop_blocked_total", "Times the event loop stood still for over a second"
)


class Watchdog:
    """Call `beat` in a task of the loop and `watch` from the loop's own thread."""

    def __init__(self, end: Callable[[], None] | None = None) -> None:
        """`end` ends the process; a test may give its own."""
        self._end = end or _end_process
        self._beaten = time.monotonic()
        self._stopped = threading.Event()
        self._loop_thread = threading.get_ident()

    async def run(self) -> None:
        """Beats until cancelled; the watching thread ends with it."""
        self._loop_thread = threading.get_ident()
        self._beaten = time.monotonic()
        thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        thread.start()
        try:
            while True:
                self._beaten = time.monotonic()
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            self._stopped.set()

    def _watch(self) -> None:
        named = False
        while not self._stopped.wait(BEAT_SECONDS):
            silent = time.monotonic() - self._beaten
            if silent < NAMED_AFTER_SECONDS:
                named = False
            elif not named:
                named = True
                _BLOCKED.inc()
                _LOG.error("loop.blocked", seconds=round(silent, 1), stack=self._stack())
            if silent > ENDED_AFTER_SECONDS:
                _LOG.critical("loop.given_up", seconds=round(silent, 1), stack=self._stack())
                self._end()
                return

    def _stack(self) -> str:
        """Where the loop's thread is right now, innermost call last."""
        frame = sys._current_frames().get(self._loop_thread)  # the only way to see it
        return mask_text("".join(traceback.format_stack(frame)[-8:])) if frame else ""


def _end_process() -> None:
    sys.stderr.flush()
    os._exit(EXIT_CODE)
