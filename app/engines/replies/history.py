"""What became of an account's book: one row for each of its versions, kept for good."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

import orjson
from sqlalchemy import Text, cast, insert, select

from app.core.ids import AccountId
from app.db.tx import Tx
from app.engines.replies.book_plan import WrittenBook
from app.engines.replies.changes import SETTINGS, Change, Key, counts, from_json, net
from app.engines.replies.errors import NoSuchVersion, VersionGone
from app.engines.replies.models import Book, Revision

Source: TypeAlias = Literal["edit", "import", "rollback"]
NOTE_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class RevisionView:
    """A change of the book without the things it touched."""

    version: int
    source: Source
    actor: str
    note: str
    counts: Mapping[str, int]
    at: datetime


_VIEW = (
    Revision.version,
    Revision.source,
    Revision.actor,
    Revision.note,
    Revision.counts,
    Revision.at,
)
_TEXT = cast(Revision.changes, Text)
"""Not decoded where it is fetched, which on PostgreSQL is the event loop."""


async def record(
    tx: Tx,
    account_id: AccountId,
    version: int,
    changes: Sequence[Change],
    *,
    actor: str,
    at: datetime,
    source: Source = "edit",
    note: str = "",
) -> None:
    """Keeps what `version` changed, in the transaction that raised the book to it."""
    await tx.run(
        insert(Revision),
        {
            "account_id": account_id,
            "version": version,
            "source": source,
            "actor": actor,
            "note": note[:NOTE_CHARACTERS],
            "counts": counts(changes),
            "changes": [change.as_json() for change in changes],
            "at": at,
        },
    )


async def current_version(tx: Tx, account_id: AccountId) -> int:
    """The book's version; 0 before anything was written."""
    found = await tx.value(select(Book.version).where(Book.account_id == account_id))
    return 0 if found is None else int(found)


async def list_revisions(
    tx: Tx, account_id: AccountId, *, before: int | None = None, limit: int = 50
) -> tuple[list[RevisionView], int | None]:
    """A page, newest first, and the version to go on before."""
    statement = select(*_VIEW).where(Revision.account_id == account_id)
    if before is not None:
        statement = statement.where(Revision.version < before)
    rows = await tx.all(statement.order_by(Revision.version.desc()).limit(limit + 1))
    views = [RevisionView(*row) for row in rows[:limit]]
    return views, views[-1].version if len(rows) > limit else None


@dataclass(frozen=True, slots=True)
class Kept:
    """Changes as they are kept, oldest first, still to be read: megabytes of an import take a while,
    so that a thread does it."""

    texts: tuple[str, ...] = ()

    def read(self) -> Iterator[Change]:
        for text in self.texts:
            for change in orjson.loads(text):
                yield from_json(change)


async def get_revision(tx: Tx, account_id: AccountId, version: int) -> tuple[RevisionView, Kept]:
    """Raises `NoSuchVersion` for what never was, `VersionGone` for what is not on record."""
    row = await tx.first(
        select(*_VIEW, _TEXT).where(Revision.account_id == account_id, Revision.version == version)
    )
    if row is None:
        current = await current_version(tx, account_id)
        if 0 < version <= current:
            raise VersionGone(version=version, oldest=await _oldest(tx, account_id, current))
        raise NoSuchVersion(version=version, current=current)
    *fields, text = row
    return RevisionView(*fields), Kept((text,))


async def changes_between(tx: Tx, account_id: AccountId, one: int, other: int) -> Kept:
    """Every change between two versions of the book, whichever came first.

    Raises `NoSuchVersion`, and `VersionGone` when one is not on record.
    """
    after, last = sorted((one, other))
    current = await current_version(tx, account_id)
    for version in (after, last):
        if not 0 <= version <= current:
            raise NoSuchVersion(version=version, current=current)
    rows = await tx.all(
        select(Revision.version, _TEXT)
        .where(
            Revision.account_id == account_id, Revision.version > after, Revision.version <= last
        )
        .order_by(Revision.version)
    )
    if len(rows) != last - after:
        raise VersionGone(version=after, oldest=await _oldest(tx, account_id, current))
    return Kept(tuple(text for _, text in rows))


async def _oldest(tx: Tx, account_id: AccountId, current: int) -> int:
    """The oldest version that can still be had: every change after it is on record."""
    rows = await tx.all(
        select(Revision.version)
        .where(Revision.account_id == account_id)
        .order_by(Revision.version.desc())
    )
    oldest = current
    for (version,) in rows:
        if version != oldest:
            break
        oldest = version - 1
    return oldest


def difference(kept: Kept, *, backwards: bool = False) -> list[Change]:
    """What these changes come to, each thing once; `backwards`, what takes them back."""
    changes = net(kept.read())
    return [change.turned() for change in changes] if backwards else changes


def undoing(kept: Kept) -> list[Change]:
    """What takes these changes back, ready to be put: with the ids of then, and versions that no
    thing had before, since caches and running flows know things by id and version."""
    done = list(kept.read())
    highest: dict[Key, int] = {}
    for change in done:
        for written in (change.before, change.after):
            number = 0 if written is None else int(written.get("version", 0))
            highest[change.key] = max(number, highest.get(change.key, 0))
    return [_newer(change.turned(), highest[change.key] + 1) for change in net(done)]


def _newer(change: Change, version: int) -> Change:
    if change.after is None or change.key == SETTINGS:
        return change
    return replace(change, after={**change.after, "version": version})


def before_changes(book: WrittenBook, kept: Kept, version: int) -> WrittenBook:
    """The book as it was in an earlier version, which `kept` led on from."""
    things = dict(book.things)
    settings = book.settings
    for change in net(kept.read()):
        if change.key == SETTINGS:
            settings = change.before or {}
        elif change.before is None:
            things.pop(change.key, None)
        else:
            things[change.key] = change.before
    ordered = sorted(things.items(), key=lambda item: item[0])
    return WrittenBook(version, settings, dict(ordered))
