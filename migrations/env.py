"""Runs migrations with the application's settings, or on a connection handed in by `app.db.migrate`."""

from alembic import context
from sqlalchemy import Connection

from app.core.settings import Settings
from app.db import tables
from app.db.base import Base
from app.db.migrate import migration_engine

tables.load()


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
        compare_type=False,
    )
    with context.begin_transaction():
        context.run_migrations()


handed_in: Connection | None = context.config.attributes.get("connection")
if handed_in is not None:
    run(handed_in)
else:
    with migration_engine(Settings().database_url).connect() as own:
        run(own)
        own.commit()
