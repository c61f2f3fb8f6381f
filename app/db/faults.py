"""What a database error means for the one who meets it."""

import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_SQLITE_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SQLITE_PASSING = _SQLITE_BUSY | {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PROTOCOL,
}
_PG_AGAIN = ("40",)  # serialization failure, deadlock
_PG_PASSING = (*_PG_AGAIN, "08", "53", "55P03", "57", "58")


def original(error: BaseException) -> BaseException:
    """The driver's own error under SQLAlchemy's."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def is_conflict(error: BaseException) -> bool:
    """Another transaction stood in the way; the same transaction may simply be run again."""
    inner = original(error)
    if isinstance(inner, sqlite3.Error):
        return _sqlite_code(inner) in _SQLITE_BUSY
    if isinstance(inner, psycopg.Error):
        return (inner.sqlstate or "").startswith(_PG_AGAIN)
    return False


def is_lock_timeout(error: BaseException) -> bool:
    """A row was held by another transaction for longer than `lock_timeout` (PostgreSQL)."""
    inner = original(error)
    return isinstance(inner, psycopg.Error) and inner.sqlstate == "55P03"


def is_passing(error: BaseException) -> bool:
    """The database is busy, full or away; what was asked of it is not at fault."""
    inner = original(error)
    if isinstance(inner, sqlite3.Error):
        return _sqlite_code(inner) in _SQLITE_PASSING
    if isinstance(inner, psycopg.OperationalError | psycopg.InterfaceError):
        return inner.sqlstate is None or inner.sqlstate.startswith(_PG_PASSING)
    return isinstance(inner, PoolTimeout | DisconnectionError | OSError | TimeoutError)


def is_database(error: BaseException) -> bool:
    return isinstance(error, SQLAlchemyError | sqlite3.Error | psycopg.Error)


def _sqlite_code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
