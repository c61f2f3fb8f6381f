"""What became of an account's book: one row for each of its versions, kept for good."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias

from sqlalchemy import insert, select

from app.core.ids import AccountId
from app.db.tx import Tx
from app.engines.replies.changes import SETTINGS, Change, Key, Written, counts, from_json, net
from app.engines.replies.errors import NoSuchVersion, VersionGone
from app.engines.replies.models import Book, Revision

Source: TypeAlias = Literal["edit", "import", "rollback"]
NOTE_CHARACTERS = 200
_STEP = 20
"""Revisions read at once: one may hold a book of 10,000 rules."""


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


async def get_revision(
    tx: Tx, account_id: AccountId, version: int
) -> tuple[RevisionView, list[Change]]:
    """Raises `NoSuchVersion` for what never was, `VersionGone` for what is not on record."""
    row = await tx.first(
        select(*_VIEW, Revision.changes).where(
            Revision.account_id == account_id, Revision.version == version
        )
    )
    if row is None:
        current = await current_version(tx, account_id)
        if 0 < version <= current:
            raise VersionGone(version=version, oldest=await _oldest(tx, account_id, current))
        raise NoSuchVersion(version=version, current=current)
    *fields, changes = row
    return RevisionView(*fields), [from_json(change) for change in changes]


async def changes_between(tx: Tx, account_id: AccountId, first: int, last: int) -> list[Change]:
    """What leads from one version of the book to another, each thing once.

    `first` may be the later one. Raises `NoSuchVersion` and `VersionGone`.
    """
    low, high = sorted((first, last))
    await _refuse_unknown(tx, account_id, low, high)
    changes = net([one async for one in _changes(tx, account_id, low, high)])
    return changes if first <= last else [change.turned() for change in changes]


async def _refuse_unknown(tx: Tx, account_id: AccountId, *versions: int) -> None:
    current = await current_version(tx, account_id)
    for version in versions:
        if not 0 <= version <= current:
            raise NoSuchVersion(version=version, current=current)


async def undoing(tx: Tx, account_id: AccountId, version: int, current: int) -> list[Change]:
    """What brings the book back to `version`, ready to be put: with the ids of then, and versions
    that no thing had before. Raises `NoSuchVersion` and `VersionGone`."""
    await _refuse_unknown(tx, account_id, version)
    done = [one async for one in _changes(tx, account_id, version, current)]
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


async def _changes(tx: Tx, account_id: AccountId, after: int, last: int) -> AsyncIterator[Change]:
    """Those of every version above `after`, oldest first. `VersionGone` when one is missing."""
    while after < last:
        rows = await tx.all(
            select(Revision.version, Revision.changes)
            .where(
                Revision.account_id == account_id,
                Revision.version > after,
                Revision.version <= last,
            )
            .order_by(Revision.version)
            .limit(_STEP)
        )
        for version, changes in rows:
            if version != after + 1:
                break
            after = version
            for change in changes:
                yield from_json(change)
        else:
            if rows:
                continue
        if after < last:
            raise VersionGone(version=after, oldest=await _oldest(tx, account_id, last))


async def _oldest(tx: Tx, account_id: AccountId, last: int) -> int:
    """The oldest version that can still be had: every change after it is on record."""
    rows = await tx.all(
        select(Revision.version)
        .where(Revision.account_id == account_id, Revision.version <= last)
        .order_by(Revision.version.desc())
    )
    oldest = last
    for (version,) in rows:
        if version != oldest:
            break
        oldest = version - 1
    return oldest


def undone(things: Mapping[Key, Written], changes: Iterable[Change]) -> dict[Key, Written]:
    """The things of a book with these changes taken back; each thing is in at most one of them."""
    found = dict(things)
    for change in changes:
        if change.before is None:
            found.pop(change.key, None)
        else:
            found[change.key] = change.before
    return found
