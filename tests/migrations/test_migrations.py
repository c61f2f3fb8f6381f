"""The tables that migrations make are the tables that the code declares, from empty and from data."""

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from app.db import tables
from app.db.base import Base
from app.db.migrate import config, migration_engine, upgrade

_PARTITION = "cs_message_"
"""Partitions are cut by `maintain`; the metadata knows their parent."""


def _known(name: str | None, kind: str, _parents: object) -> bool:
    return not (kind == "table" and (name or "").startswith(_PARTITION))


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"include_name": _known, "compare_type": False}
    )
    return list(compare_metadata(context, Base.metadata))


def test_migrated_tables_are_the_declared_ones(database_url: str) -> None:
    tables.load()
    engine = migration_engine(database_url)
    with engine.connect() as connection:
        differences = _differences(connection)
    engine.dispose()
    assert not differences


def test_data_of_the_first_release_survives(tmp_path: Path) -> None:
    """SQLite alone: a fresh PostgreSQL for one test is not worth its seconds, and the statements of
    the migrations are the same."""
    url = f"sqlite:///{tmp_path}/old.db"
    engine = migration_engine(url)
    with engine.connect() as connection:
        settings = config()
        settings.attributes["connection"] = connection
        command.upgrade(settings, "01")
        connection.execute(
            text(
                "INSERT INTO flow_state (follower_id, account_id, flow, step, answers, expires_at,"
                " updated_at) VALUES (7, 1, 'book', 1, '{}', '2026-01-01', '2026-01-01')"
            )
        )
        connection.execute(
            text(
                'INSERT INTO rp_binding (id, account_id, "on", "key", enabled, answers, version,'
                " created_at, updated_at)"
                " VALUES (5, 1, 'menu', 'k', 1, '[]', 3, '2026-01-01', '2026-01-01')"
            )
        )
        connection.commit()
    engine.dispose()
    assert upgrade(url).up_to_date
    with engine.connect() as connection:
        flow = connection.execute(text("SELECT flow, step, version, paused FROM flow_state")).one()
        binding = connection.execute(text("SELECT version, hours, audience FROM rp_binding")).one()
    engine.dispose()
    assert tuple(flow) == ("book", 1, 0, 0)
    assert tuple(binding) == (3, None, None)
