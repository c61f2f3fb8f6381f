"""SQLite's log when a reader stands in the way."""

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from app.db import checkpoints
from app.db.checkpoints import Checkpointer


def test_what_a_reader_holds_up_is_not_left_to_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "RESTART_FRAMES", 20)
    monkeypatch.setattr(checkpoints, "SMALL_FRAMES", 10)
    path = tmp_path / "log.db"
    asked: list[bool] = []
    checkpointer = Checkpointer(str(path), lambda: asked.append(True))
    with ExitStack() as held, closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE t (body TEXT)")
        beside = held.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM t").fetchall()
            for _ in range(30):
                writer.execute("INSERT INTO t VALUES (?)", ("x" * 9000,))
            checkpointer._round(beside)  # one round, without the thread
            assert asked == []
        checkpointer._round(beside)  # as above
        assert asked == [True]
