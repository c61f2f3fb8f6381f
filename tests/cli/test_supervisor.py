import signal
import sys
import threading
import time

import pytest

from app.cli import supervisor
from app.cli.supervisor import Supervisor


def test_a_process_that_dies_at_once_is_started_ever_more_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.2)
    dead: list[int] = []
    found = Supervisor([sys.executable, "-c", "raise SystemExit(3)"], 1, on_death=dead.append)
    found._pause = 0.2
    threading.Timer(1.6, found.stop).start()
    found.run()
    assert 2 <= len(dead) <= 4, "without a pause there would be dozens"
    assert len(set(dead)) == len(dead)


def test_a_process_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE_SECONDS", 0.5)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    dead: list[int] = []
    found = Supervisor([sys.executable, "-c", deaf], 2, on_death=dead.append)
    threading.Timer(1.0, found.stop).start()
    started = time.monotonic()
    before = signal.getsignal(signal.SIGTERM)
    found.run()
    assert time.monotonic() - started < 5
    assert sorted(dead) == sorted(found.pids)
    assert signal.getsignal(signal.SIGTERM) is before
