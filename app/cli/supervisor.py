"""Keeps a number of processes alive and stops them together."""

import os
import signal
import subprocess  # runs only this program's own interpreter
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from app.core.log import get_logger

PATIENCE_SECONDS = 9.5
"""After this long a process that was asked to stop is killed; all is over within ten seconds."""
STEADY_SECONDS = 10.0
"""A process that lived this long is started anew at once; one that did not, after a pause."""
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
_LOOK_SECONDS = 0.1
_LOG = get_logger(__name__)


@dataclass(slots=True)
class _Child:
    process: subprocess.Popen[bytes]
    started: float


class Supervisor:
    """Runs `command` in `count` processes until SIGTERM or SIGINT comes.

    A process that ends by itself is started anew. Each is in a session of its own, so that Ctrl-C in
    a terminal reaches them once, through here.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        *,
        files: Sequence[int] = (),
        environment: Mapping[str, str] | None = None,
        on_death: Callable[[int], object] = lambda _: None,
    ) -> None:
        """`files` are inherited by the processes; `on_death` is told the pid of each that ended."""
        self._command = list(command)
        self._count = count
        self._files = tuple(files)
        self._environment = environment
        self._on_death = on_death
        self._children: list[_Child] = []
        self._due: list[float] = [0.0] * count
        """When the missing processes may be started."""
        self._pause = FIRST_PAUSE_SECONDS
        self._stop = False
        """Not an event: a signal that came while the waiting thread held its lock would wait for ever."""

    @property
    def pids(self) -> list[int]:
        return [child.process.pid for child in self._children]

    @property
    def stopping(self) -> bool:
        return self._stop

    def run(self) -> None:
        """Returns when every process has ended after a signal."""
        before = {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            while not self._stop:
                self._bury()
                self._start_missing()
                time.sleep(_LOOK_SECONDS)
        finally:
            self._end()
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """As if a signal had come; from any thread."""
        self._stop = True

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._stop = True

    def _start_missing(self) -> None:
        now = time.monotonic()
        for due in [moment for moment in self._due if moment <= now]:
            self._due.remove(due)
            self._children.append(_Child(self._spawn(), now))

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(  # noqa: S603  # the command is ours
            self._command,
            pass_fds=self._files,
            env=self._environment,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        _LOG.info("serve.process_started", pid=process.pid)
        return process

    def _bury(self) -> None:
        now = time.monotonic()
        for child in [c for c in self._children if c.process.poll() is not None]:
            self._children.remove(child)
            self._on_death(child.process.pid)
            steady = now - child.started >= STEADY_SECONDS
            pause = 0.0 if steady else self._pause
            self._pause = (
                FIRST_PAUSE_SECONDS if steady else min(self._pause * 2, LONGEST_PAUSE_SECONDS)
            )
            self._due.append(now + pause)
            _LOG.error(
                "serve.process_died",
                pid=child.process.pid,
                exit_code=child.process.returncode,
                again_in_seconds=pause,
            )

    def _end(self) -> None:
        for child in self._children:
            _signal(child.process, signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE_SECONDS
        for child in self._children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _LOG.error("serve.process_killed", pid=child.process.pid)
                child.process.kill()
                child.process.wait()
            self._on_death(child.process.pid)


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """Nothing when it has ended already."""
    if process.poll() is None:
        os.kill(process.pid, number)
