"""SQLite's log when the file is gone, or a reader stands in the way."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.rng import SeededRng
from app.db import checkpoints
from app.db.checkpoints import Checkpointer
from app.db.database import SqliteDatabase


async def test_a_checkpoint_makes_no_file_where_one_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "gone.db"
    database = SqliteDatabase(f"sqlite:///{path}", SeededRng(1))
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        await database.checkpoint()
    await database.close()
    assert not path.exists()


def test_what_a_reader_holds_up_is_not_left_to_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "RESTART_FRAMES", 20)
    monkeypatch.setattr(checkpoints, "SMALL_FRAMES", 10)
    path = tmp_path / "log.db"
    asked: list[bool] = []
    checkpointer = Checkpointer(str(path), lambda: asked.append(True))
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("PRAGMA wal_autocheckpoint=0")
        writer.execute("CREATE TABLE t (body TEXT)")
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM t").fetchall()
            for _ in range(30):
                writer.execute("INSERT INTO t VALUES (?)", ("x" * 9000,))
            checkpointer._round()  # one round, without the thread
            assert asked == []
        checkpointer._round()  # as above
        assert asked == [True]
