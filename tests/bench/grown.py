"""`python -m tests.bench.grown make sqlite|postgresql`: an account after months, kept for measuring.

1,000,000 followers and 10,000,000 messages in the real tables, on PostgreSQL cut by months. Kept in
a folder outside the tree and used again until the schema changes.
"""

import asyncio
import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import orjson
import psycopg
import typer
from rich.console import Console
from sqlalchemy import text

from app.core.clock import SystemClock
from app.core.log import setup_logging
from app.db.migrate import state, upgrade
from app.db.months import month_of
from tests.bench import shop
from tests.bench.databases import POSTGRES, SQLITE, Shop, furnish
from tests.bench.life import MESSAGES, Life, Rows, Size, Words
from tests.bench.postgres import PostgresServer, connected

LOADER = 2
"""Raised when the rows are made otherwise."""
KINDS = {"sqlite": SQLITE, "postgresql": POSTGRES}
_CHUNK = 10_000
_NAME = "grown"
_COPY_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t"})


def default_folder() -> Path:
    """In the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "guanxi" / "grown"


class Grown:
    """The grown databases of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server = PostgresServer(folder / "pg", keep=True)

    def url(self, kind: str) -> str:
        if kind == SQLITE:
            return f"sqlite:///{self.folder}/{_NAME}.db"
        return self._server.url(_NAME)

    def stamp(self, kind: str) -> dict[str, Any] | None:
        """What was made, or None where nothing is, or what is there is of another schema."""
        try:
            found: dict[str, Any] = orjson.loads(self._stamp_file(kind).read_bytes())
        except FileNotFoundError:
            return None
        wanted = (LOADER, schema_digest())
        return found if (found["loader"], found["schema"]) == wanted else None

    def make(self, kind: str, size: Size, say: Console) -> dict[str, Any]:
        """Fills a new database, and says how large everything became."""
        self.remove(kind)
        self.folder.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        url = self._empty(kind)
        asyncio.run(furnish(url, Shop()))
        now = SystemClock().now()
        fill(kind, url, size, now, say)
        stamp = {
            "loader": LOADER,
            "schema": schema_digest(),
            "followers": size.followers,
            "messages": size.messages,
            "made_at": now.isoformat(),
            "seconds": round(time.monotonic() - started),
            "bytes": self.sizes(kind),
        }
        self._stamp_file(kind).write_bytes(orjson.dumps(stamp, option=orjson.OPT_INDENT_2))
        return stamp

    def sizes(self, kind: str) -> dict[str, int]:
        """Bytes of each table with its indexes."""
        with _filler(kind, self.url(kind)) as filler:
            return filler.sizes()

    def freshen(self, kind: str) -> None:
        """Before a measurement: this month's partition is there, receipts and events are as young as
        they were, and the next checkpoint is as far away as it can be."""
        url = self.url(kind)
        maintain = [sys.executable, "-m", "app", "maintain"]
        environment = {**os.environ, "GUANXI_DATABASE_URL": url}
        subprocess.run(maintain, check=True, env=environment, capture_output=True)
        now = SystemClock().now()
        with connected(url, autocommit=kind == POSTGRES) as connection:
            connection.execute(
                text("DELETE FROM receipt WHERE expires_at <= :old"),
                {"old": _at(now - timedelta(days=2), kind)},
            )
            connection.execute(
                text("UPDATE receipt SET expires_at = :later WHERE expires_at <= :now"),
                {"later": _at(now + timedelta(hours=12), kind), "now": _at(now, kind)},
            )
            connection.execute(
                text("UPDATE event SET created_at = :now WHERE created_at <= :old"),
                {"now": _at(now, kind), "old": _at(now - timedelta(days=6), kind)},
            )
            connection.commit()
        self._checkpoint(kind, url)

    def _checkpoint(self, kind: str, url: str) -> None:
        if kind == POSTGRES:
            self._server.admin("CHECKPOINT")
            return
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def remove(self, kind: str) -> None:
        self._stamp_file(kind).unlink(missing_ok=True)
        if kind == SQLITE:
            for file in self.folder.glob(f"{_NAME}.db*"):
                file.unlink()
        elif (self.folder / "pg").exists():
            self._server.admin(f"DROP DATABASE IF EXISTS {_NAME} WITH (FORCE)")

    def cpu_seconds(self) -> float:
        return self._server.cpu_seconds()

    def close(self) -> None:
        self._server.close()

    def _empty(self, kind: str) -> str:
        if kind == POSTGRES:
            self._server.admin(f"CREATE DATABASE {_NAME}")
        url = self.url(kind)
        upgrade(url)
        return url

    def _stamp_file(self, kind: str) -> Path:
        return self.folder / f"{kind.lower()}.json"


def schema_digest() -> str:
    """Of every table and index, as migrations make them now."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/s.db"
        upgrade(url)
        with connected(url, autocommit=False) as connection:
            found = connection.scalars(
                text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
            )
            return hashlib.sha256("\n".join(found).encode()).hexdigest()[:16]


def _at(moment: datetime, kind: str) -> datetime | str:
    return moment if kind == POSTGRES else moment.isoformat(" ", "microseconds")[:26]


def _account(url: str) -> tuple[int, dict[str, int]]:
    with connected(url, autocommit=False) as connection:
        account = connection.scalar(
            text("SELECT id FROM account WHERE slug = :slug"), {"slug": shop.SLUG}
        )
        rules = connection.execute(text("SELECT name, id FROM rp_rule"))
        return int(account or 0), {row[0]: row[1] for row in rules}


class _Filler(ABC):
    """Takes rows in the quickest way there is; indexes of the messages are made afterwards."""

    words: Words

    def __enter__(self) -> "_Filler":
        return self

    @abstractmethod
    def __exit__(self, *_: object) -> None: ...

    def fill(self, life: Life, now: datetime, say: Console) -> None:
        steps = {
            "room for the months": lambda: self.prepare(life, now),
            "messages": lambda: self.take(life.messages()),
            "everything else": lambda: self.take_all(life.rest()),
            "indexes and statistics": self.finish,
        }
        for name, step in steps.items():
            started = time.monotonic()
            step()
            say.print(f"  {name}: {time.monotonic() - started:.0f} s")

    @abstractmethod
    def prepare(self, life: Life, now: datetime) -> None: ...

    def take_all(self, tables: Iterator[Rows]) -> None:
        for rows in tables:
            self.take(rows)

    @abstractmethod
    def take(self, rows: Rows) -> None: ...

    @abstractmethod
    def finish(self) -> None: ...

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """Bytes of each table with its indexes."""


class _SqliteFiller(_Filler):
    words = Words(null=None, true=1, false=0, escape=lambda words: words)

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("sqlite:///")
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._later: list[str] = []

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def prepare(self, life: Life, now: datetime) -> None:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-500000"):
            self._connection.execute(f"PRAGMA {pragma}")
        found = self._connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'cs_message'"
            " AND sql IS NOT NULL"
        ).fetchall()
        for name, sql in found:
            self._connection.execute(f"DROP INDEX {name}")
            self._later.append(sql)

    def take(self, rows: Rows) -> None:
        names = ", ".join(f'"{column}"' for column in rows.columns)
        places = ", ".join("?" * len(rows.columns))
        statement = f"INSERT INTO {rows.table} ({names}) VALUES ({places})"
        self._connection.execute("BEGIN")
        self._connection.executemany(statement, rows.rows)
        self._connection.execute("COMMIT")

    def finish(self) -> None:
        for statement in self._later:
            self._connection.execute(statement)
        self._connection.execute("ANALYZE")
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.close()
        os.sync()

    def sizes(self) -> dict[str, int]:
        connection = sqlite3.connect(self._path)
        found = connection.execute(
            "SELECT m.tbl_name, sum(d.pgsize) FROM dbstat AS d JOIN sqlite_master AS m"
            " ON m.name = d.name GROUP BY 1"  # page by page: its own sum has but 32 bits
        ).fetchall()
        connection.close()
        return dict(found)


class _PostgresFiller(_Filler):
    words = Words(null="\\N", true="t", false="f", escape=lambda w: w.translate(_COPY_ESCAPES))

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = psycopg.connect(url, autocommit=True, options="-c timezone=UTC")
        self._later: list[str] = []

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def prepare(self, life: Life, now: datetime) -> None:
        self._run("SET synchronous_commit = off")
        self._run("SET maintenance_work_mem = '512MB'")
        month, last = month_of(life.since), month_of(now).after(2)
        while month <= last:
            name = f"cs_message_{month.year}_{month.number:02}"
            self._run(
                f"CREATE TABLE {name} PARTITION OF cs_message"
                f" FOR VALUES FROM ({month.low}) TO ({month.high})"
            )
            month = month.after()
        found = self._connection.execute(
            "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index"
            " WHERE indrelid = 'cs_message'::regclass AND NOT indisprimary"
        ).fetchall()
        for name, definition in found:
            self._run(f"DROP INDEX {name}")
            self._later.append(definition.replace(" ON ONLY ", " ON "))

    def take(self, rows: Rows) -> None:
        names = ", ".join(f'"{column}"' for column in rows.columns)
        line = "\t".join(["%s"] * len(rows.columns)) + "\n"
        with (
            self._connection.cursor() as cursor,
            cursor.copy(f"COPY {rows.table} ({names}) FROM STDIN".encode()) as copy,
        ):
            while chunk := "".join([line % row for row in islice(rows.rows, _CHUNK)]):
                copy.write(chunk)

    def finish(self) -> None:
        for statement in self._later:
            self._run(statement)
        self._run("VACUUM (ANALYZE)")
        self._run("CHECKPOINT")

    def sizes(self) -> dict[str, int]:
        with _asking(self._url) as connection:
            found = connection.execute(
                "SELECT coalesce(parent.relname, c.relname),"
                " sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c"
                " LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid"
                " LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent"
                " WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace GROUP BY 1"
            ).fetchall()
        return dict(found)

    def _run(self, statement: str) -> None:
        self._connection.execute(statement.encode())


def fill(kind: str, url: str, size: Size, now: datetime, say: Console) -> None:
    """Months of life, up to `now`, into a database that has the shop in it and nothing else."""
    with _filler(kind, url) as filler:
        filler.fill(Life(size, *_account(url), now, filler.words), now, say)


def _filler(kind: str, url: str) -> _Filler:
    return _SqliteFiller(url) if kind == SQLITE else _PostgresFiller(url)


@contextmanager
def _asking(url: str) -> Iterator[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@contextmanager
def opened(folder: Path | None) -> Iterator[Grown]:
    """The grown databases of a folder; what was started for them is stopped."""
    with tempfile.TemporaryDirectory(prefix="gxb", ignore_cleanup_errors=True) as runtime:
        os.environ.setdefault("XDG_RUNTIME_DIR", runtime)
        grown = Grown(folder or default_folder())
        try:
            yield grown
        finally:
            grown.close()


app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__)
_Folder = Annotated[Path | None, typer.Option(help="Where it is kept; the user's cache otherwise.")]


@app.command()
def make(
    database: Annotated[str, typer.Argument(help="sqlite or postgresql")],
    folder: _Folder = None,
    followers: Annotated[int, typer.Option()] = shop.MANY_FOLLOWERS,
    messages: Annotated[int, typer.Option()] = MESSAGES,
    again: Annotated[bool, typer.Option("--again", help="Also when it is there.")] = False,
) -> None:
    """Makes it, unless it is there and of this schema."""
    console = Console()
    setup_logging(level="warning")
    kind = KINDS[database]
    with opened(folder) as grown:
        stamp = None if again else grown.stamp(kind)
        if stamp is None:
            stamp = grown.make(kind, Size(followers, messages), console)
        elif not state(grown.url(kind)).up_to_date:
            upgrade(grown.url(kind))
        _show(console, kind, stamp)


@app.command()
def sizes(
    database: Annotated[str, typer.Argument(help="sqlite or postgresql")], folder: _Folder = None
) -> None:
    """Measures how large everything is now."""
    kind = KINDS[database]
    with opened(folder) as grown:
        stamp = grown.stamp(kind)
        if stamp is None:
            raise typer.BadParameter("there is none; make it first")
        stamp["bytes"] = grown.sizes(kind)
        _show(Console(), kind, stamp)


@app.command()
def remove(
    database: Annotated[str, typer.Argument(help="sqlite or postgresql")], folder: _Folder = None
) -> None:
    """Frees the disk."""
    place = folder or default_folder()
    if KINDS[database] == SQLITE:
        Grown(place).remove(SQLITE)
    else:
        shutil.rmtree(place / "pg", ignore_errors=True)
        (place / "postgresql.json").unlink(missing_ok=True)


def _show(console: Console, kind: str, stamp: dict[str, Any]) -> None:
    console.print(
        f"{kind}: {stamp['followers']:,} followers, {stamp['messages']:,} messages, made"
        f" {stamp['made_at'][:16]} in {stamp['seconds']} s"
    )
    sizes = stamp["bytes"]
    for table, size in sorted(sizes.items(), key=lambda one: -one[1])[:10]:
        each = {"cs_message": stamp["messages"]}.get(table, stamp["followers"])
        console.print(f"  {table:20} {size / 1e6:10,.0f} MB  {size / each:8,.0f} bytes each")
    console.print(f"  {'all':20} {sum(sizes.values()) / 1e6:10,.0f} MB")


if __name__ == "__main__":
    app()
