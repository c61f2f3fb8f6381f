"""SQLite's log stays short while somebody writes all the time, and nothing is lost by it."""

import asyncio
import shutil
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


def test_a_file_put_in_its_place_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log would be another file's: what was written goes on into the one that was opened."""
    monkeypatch.setattr(checkpoints, "PAUSE_SECONDS", 0.001)
    rounds = threading.Event()
    checkpointer = Checkpointer(str(path), rounds.set)
    monkeypatch.setattr(checkpoints, "RESTART_FRAMES", 1)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    checkpointer.open()
    copy, away = path.with_suffix(".copy"), path.with_suffix(".away")
    shutil.copy(path, copy)
    before = copy.read_bytes()
    path.rename(away)
    copy.rename(path)
    writer.execute("INSERT INTO t (id, body) VALUES (1, 'kept')")
    checkpointer.written()
    assert rounds.wait(10)
    checkpointer.stop()
    assert path.read_bytes() == before
    assert b"kept" in away.read_bytes()
    writer.close()


def test_it_never_makes_a_file(tmp_path: Path) -> None:
    gone = tmp_path / "gone.db"
    with pytest.raises(sqlite3.OperationalError):
        Checkpointer(str(gone), lambda: None).open()
    assert not gone.exists()


def test_stop_ends_the_thread_and_may_come_first(path: Path) -> None:
    Checkpointer(str(path), lambda: None).stop()
    before = set(threading.enumerate())
    checkpointer = Checkpointer(str(path), lambda: None)
    checkpointer.open()
    checkpointer.written()
    checkpointer.stop()
    assert set(threading.enumerate()) <= before
