"""The declarative base, constraint names, and the column types that differ between databases."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson
from sqlalchemy import BigInteger, DateTime, Integer, MetaData, Text, TypeDecorator
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeEngine

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Tables are declared as classes and used as Core tables; there are no ORM sessions."""

    metadata = MetaData(naming_convention=NAMES)


BigId = BigInteger().with_variant(Integer, "sqlite")
"""A 63-bit id. SQLite wants INTEGER for the key that is its row id."""


class Utc(TypeDecorator[datetime]):
    """An aware moment in UTC with microseconds; sortable text on SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return value if dialect.name != "sqlite" else _utc_text(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return value if dialect.name != "sqlite" else _utc_moment(value)

    def direct_bind(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return _utc_text if dialect.name == "sqlite" else None

    def direct_result(self, dialect: Dialect) -> Callable[[Any], Any] | None:
        return _utc_moment if dialect.name == "sqlite" else None


@lru_cache(maxsize=1024)
def _utc_text(value: datetime | None) -> str | None:
    """Remembered, since one delivery writes the same moment a dozen times."""
    if value is None:
        return None
    if value.tzinfo is not UTC:
        value = value.astimezone(UTC)
    return value.isoformat(" ", "microseconds")[:26]


def _utc_moment(value: str | None) -> datetime | None:
    return None if value is None else datetime.fromisoformat(value + "+00:00")


class Json(TypeDecorator[Any]):
    """A JSON document; SQL NULL for None. Text on SQLite, `jsonb` on PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else _JsonbText())

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return _json_text(value)

    def direct_bind(self, dialect: Dialect) -> Callable[[Any], Any]:
        return _json_text

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        if value is None or dialect.name != "sqlite":
            return value  # psycopg gives objects
        return orjson.loads(value)


def _json_text(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value, default=json_default).decode()


class _JsonbText(JSONB):
    """`jsonb` fed with text that is already JSON, so that both databases share one encoder."""

    def adapt(self, cls: Any, **kw: Any) -> Any:
        """Never the driver's own type, which would encode the text again, as a JSON string."""
        return _JsonbText()

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        return None


def json_default(value: Any) -> Any:
    """Read-only mappings and sets are JSON too."""
    if hasattr(value, "items"):
        return dict(value)
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
