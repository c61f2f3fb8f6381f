"""SQLite's log, moved into the file beside the writer instead of by it.

SQLite itself checkpoints at a commit, in the thread that writes. With ten million messages stored
the pages of a batch lie all over the file, and every twentieth batch waited for a hundred
milliseconds of random writes: a third of the throughput.
"""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from app.core.log import get_logger

PAUSE_SECONDS = 0.25
"""Between two rounds; what is written again meanwhile is moved once."""
RESTART_FRAMES = 4_000
"""A log at least so long, in pages, is begun anew, else a commit may go on at its end."""
SMALL_FRAMES = 500
"""Few enough to be moved between two transactions."""
PASSES = 4
_LOG = get_logger(__name__)


class Checkpointer:
    """A thread that follows the writer. `open` starts it, `stop` ends it.

    The log can only be begun anew when all of it has been moved, and while the writer goes on a
    little is always left. So the last of it is moved by the writer's own thread, in between.
    """

    def __init__(self, path: str, finish: Callable[[], object]) -> None:
        """`finish` has the writer's thread call `move`, outside a transaction, and waits for it."""
        self._path = path
        self._finish = finish
        self._written = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Together with the writer's connection, and for good, once: opened by name later, a file that was
        put in the place of the first would get the first one's log."""
        if self._thread is not None:
            return
        address = f"{Path(self._path).absolute().as_uri()}?mode=rw"  # never makes the file
        connection = sqlite3.connect(
            address, uri=True, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the log as well
        self._thread = threading.Thread(
            target=self._run, args=(connection,), name="sqlite-log", daemon=True
        )
        self._thread.start()

    def written(self) -> None:
        """A transaction was committed."""
        self._written.set()

    def stop(self) -> None:
        self._stopped.set()
        self._written.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, connection: sqlite3.Connection) -> None:
        while not self._stopped.wait(PAUSE_SECONDS):
            self._written.wait()
            self._written.clear()
            if self._stopped.is_set():
                break
            try:
                self._round(connection)
            except sqlite3.Error as error:  # full, away: the writer meets it too and tells
                _LOG.debug("checkpoint.failed", error=repr(error))
        connection.close()

    def _round(self, connection: sqlite3.Connection) -> None:
        length = blocked = 0
        for _ in range(PASSES):
            before = length
            length, blocked = move(connection)
            if length - before < SMALL_FRAMES:
                break
        # What a reader stands in the way of is left to a later round: gone the moment after, it would
        # leave all of that to the writer.
        if length >= RESTART_FRAMES and blocked < SMALL_FRAMES:
            self._finish()


def move(connection: sqlite3.Connection) -> tuple[int, int]:
    """Moves what no reader stands in the way of; the length of the log in pages, -1 without one, and
    how many of them were left."""
    _busy, length, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(length), int(length) - int(moved)
