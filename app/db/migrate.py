"""Brings the database to the version this program needs."""

from dataclasses import dataclass
from pathlib import Path

import sqlalchemy
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, text

import app
from app.db.database import sqlite_engine, sync_url
from app.db.version import wanted

_ROOT = Path(app.__file__).parent.parent
_LOCK = 7_166_510_937
"""An arbitrary number: one migrator at a time."""


@dataclass(frozen=True, slots=True)
class MigrationState:
    current: str | None
    wanted: str | None

    @property
    def up_to_date(self) -> bool:
        return self.current == self.wanted


def config() -> Config:
    return Config(str(_ROOT / "alembic.ini"))


def migration_engine(url: str) -> Engine:
    """A synchronous engine without the application's time limits."""
    if url.startswith("sqlite"):
        return sqlite_engine(url)
    return sqlalchemy.create_engine(sync_url(url), poolclass=sqlalchemy.NullPool)


def upgrade(url: str) -> MigrationState:
    """Upgrades to the newest version, one process at a time, then analyses the tables.

    Without statistics PostgreSQL's planner walks whole indexes for the receipt look-up.
    """
    engine = migration_engine(url)
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_lock(:n)"), {"n": _LOCK})
            connection.commit()
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        connection.commit()
        analyse(connection)
        connection.commit()
        state = _state(connection)
    engine.dispose()
    return state


def analyse(connection: Connection) -> None:
    connection.execute(text("ANALYZE"))


def state(url: str) -> MigrationState:
    """Which version the database has and which this program needs."""
    engine = migration_engine(url)
    with engine.connect() as connection:
        found = _state(connection)
    engine.dispose()
    return found


def _state(connection: Connection) -> MigrationState:
    return MigrationState(
        current=MigrationContext.configure(connection).get_current_revision(),
        wanted=wanted(),
    )
