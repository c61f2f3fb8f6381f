"""Files and rollbacks, planned first and applied as planned.

The checking and the planning need no lock: they happen beside the book as it was read, in a thread.
The transaction then only writes, and only when the book is still in the version of the plan; so it
is short however big the file, and nothing is ever half applied.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from app.core.ids import AccountId
from app.db.audit import Actor
from app.db.database import Database
from app.db.tx import Tx
from app.engines.replies.book_plan import Mode, Plan, WrittenBook
from app.engines.replies.bundle import plan_file, sorts, write_bundle
from app.engines.replies.changes import SETTINGS, Change
from app.engines.replies.document_places import Format
from app.engines.replies.errors import VersionConflict
from app.engines.replies.history import (
    Kept,
    RevisionView,
    Source,
    before_changes,
    changes_between,
    difference,
    get_revision,
    undoing,
)
from app.engines.replies.mistakes import Found, Mistakes
from app.engines.replies.service import Replies
from app.engines.replies.standing import book_of, book_of_file

P = TypeVar("P")
T = TypeVar("T")
TRIES = 3
"""A plan is made anew when the book changed meanwhile and the caller named no version."""


class Imports:
    """The use cases over one database."""

    def __init__(self, database: Database, replies: Replies) -> None:
        self._database = database
        self._replies = replies
        shelves = {shelf.word: shelf for shelf in replies.shelves}
        self._sorts = sorts(
            {word: shelf.checked for word, shelf in shelves.items()},
            {word: shelf.name_of for word, shelf in shelves.items()},
        )

    def read_file(self, raw: bytes) -> WrittenBook:
        """The book that a file describes by itself, beside nothing. Raises `Mistakes`."""
        return book_of_file(raw, self._sorts)

    def read_plain(self, whole: object) -> WrittenBook:
        """The same of plain data."""
        found = Found()
        book = book_of(whole, self._sorts, found)
        if found:
            raise Mistakes(found)
        return book

    async def export(self, account_id: AccountId, form: Format) -> tuple[str, int]:
        """The whole book as one file, and its version."""
        book = await self._read(account_id)
        return await asyncio.to_thread(write_bundle, book, form), book.version

    async def plan_import(
        self, account_id: AccountId, raw: bytes, mode: Mode, *, expect: int | None = None
    ) -> Plan:
        """What the file would do. Raises `Mistakes`, and `VersionConflict` when the book is not in
        the version `expect`."""
        book = await self._read(account_id)
        _refuse_moved(book.version, expect)
        return await asyncio.to_thread(plan_file, raw, self._sorts, book, mode)

    async def plan_rollback(
        self, account_id: AccountId, version: int, *, expect: int | None = None
    ) -> Plan:
        """What would bring the book back to this version, with the ids of then.

        Raises `VersionConflict` as above, `NoSuchVersion`, and `VersionGone` when a change since
        then is not on record.
        """

        async def work(tx: Tx) -> tuple[int, int, Kept]:
            current, things = await self._replies.count(tx, account_id)
            _refuse_moved(current, expect)
            return current, things, await changes_between(tx, account_id, version, current)

        current, things, kept = await self._database.read(work)
        changes = await asyncio.to_thread(undoing, kept)
        return Plan(current, tuple(changes), things - _touched(changes))

    async def book_at(self, account_id: AccountId, version: int) -> WrittenBook:
        """The whole book as it was in a version. Raises `NoSuchVersion` and `VersionGone`."""

        async def work(tx: Tx) -> tuple[WrittenBook, Kept]:
            book = await self._replies.read_book(tx, account_id)
            return book, await changes_between(tx, account_id, version, book.version)

        book, kept = await self._database.read(work)
        return await asyncio.to_thread(before_changes, book, kept, version)

    async def difference(self, account_id: AccountId, one: int, other: int) -> list[Change]:
        """What leads from one version to the other, each thing once. Raises as above."""
        kept = await self._database.read(lambda tx: changes_between(tx, account_id, one, other))
        return await asyncio.to_thread(difference, kept, backwards=one > other)

    async def revision(
        self, account_id: AccountId, version: int
    ) -> tuple[RevisionView, list[Change]]:
        """One version and what it changed. Raises as above."""
        view, kept = await self._database.read(lambda tx: get_revision(tx, account_id, version))
        return view, await asyncio.to_thread(lambda: list(kept.read()))

    async def apply(
        self,
        tx: Tx,
        actor: Actor,
        account_id: AccountId,
        plan: Plan,
        *,
        source: Source,
        note: str = "",
    ) -> int:
        """The book's version then. Raises `VersionConflict` when it moved since the plan was made."""
        return await self._replies.apply(tx, actor, account_id, plan, source=source, note=note)

    async def _read(self, account_id: AccountId) -> WrittenBook:
        return await self._database.read(lambda tx: self._replies.read_book(tx, account_id))


def _refuse_moved(current: int, expect: int | None) -> None:
    if expect is not None and expect != current:
        raise VersionConflict(current=current)


def _touched(changes: list[Change]) -> int:
    return sum(1 for change in changes if change.kind != "added" and change.key != SETTINGS)


async def planned_and_done(
    plan: Callable[[], Awaitable[P]], do: Callable[[P], Awaitable[T]], *, again: bool
) -> T:
    """Plans and does; with `again`, anew from the start when the book moved in between."""
    for _ in range(TRIES - 1 if again else 0):
        with suppress(VersionConflict):
            return await do(await plan())
    return await do(await plan())
