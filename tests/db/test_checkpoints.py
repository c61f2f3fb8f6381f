"""SQLite's log stays short while somebody writes all the time, and nothing is lost by it."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from app.core.rng import SeededRng
from app.db import checkpoints
from app.db.checkpoints import Checkpointer
from app.db.database import SqliteDatabase
from app.db.tx import Tx


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "log.db"
    with sqlite3.connect(made) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, body TEXT)")
    connection.close()
    return made


async def add(database: SqliteDatabase, number: int) -> None:
    async def work(tx: Tx) -> None:
        row = {"id": number, "body": "x" * 20_000}
        await tx.run(text("INSERT INTO t (id, body) VALUES (:id, :body)"), row)

    await database.transaction(work)


async def test_the_log_is_begun_anew_under_constant_writing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "PAUSE_SECONDS", 0.002)
    monkeypatch.setattr(checkpoints, "RESTART_FRAMES", 20)
    database = SqliteDatabase(f"sqlite:///{path}", SeededRng(1))
    log = path.with_name(path.name + "-wal")
    number, anew, marks = 0, 0, set[bytes]()
    async with asyncio.timeout(30):
        while anew < 5:
            number += 1
            await add(database, number)
            marks.add(log.read_bytes()[12:20])  # its salts: others each time it is begun
            anew = len(marks) - 1
    await database.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*), max(id) FROM t").fetchone() == (number, number)
    connection.close()


async def test_a_reader_keeps_what_it_sees(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "PAUSE_SECONDS", 0.002)
    monkeypatch.setattr(checkpoints, "RESTART_FRAMES", 5)
    database = SqliteDatabase(f"sqlite:///{path}", SeededRng(1))
    await add(database, 1)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    for number in range(2, 40):
        await add(database, number)
    assert reader.execute("SELECT count(*) FROM t").fetchone() == (1,)
    reader.close()
    await database.close()


def test_it_never_makes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the database was moved away under it."""
    monkeypatch.setattr(checkpoints, "PAUSE_SECONDS", 0.001)
    gone = tmp_path / "gone.db"
    finished: list[bool] = []
    checkpointer = Checkpointer(str(gone), lambda: None, lambda: finished.append(True))
    checkpointer.written()
    checkpointer.stop()
    assert not gone.exists()
    assert finished == []


def test_stop_ends_the_thread_and_may_come_first() -> None:
    Checkpointer("nowhere.db", lambda: None, lambda: None).stop()
    before = set(threading.enumerate())
    checkpointer = Checkpointer("nowhere.db", lambda: None, lambda: None)
    checkpointer.written()
    checkpointer.stop()
    assert set(threading.enumerate()) <= before
