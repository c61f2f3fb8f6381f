"""What making, changing and deleting have in common for rules, bindings and flows.

Every change bumps the account's book first, which locks it: changes to one account's replies run
one after the other, and every process sees the version rise together with the change.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sqlalchemy import bindparam, delete, insert, update

from app.core.actions import ActionRegistry
from app.core.clock import Clock
from app.core.errors import NotFound
from app.core.events import Event
from app.core.ids import AccountId, Ids, moment_of
from app.db.audit import Actor, Audit
from app.db.events import Events
from app.db.hot import upsert
from app.db.tx import Tx
from app.engines.replies.changes import Change, Key, Written, plain
from app.engines.replies.errors import VersionConflict
from app.engines.replies.history import record
from app.engines.replies.models import Book
from app.engines.replies.queries import Page


class Versioned(Protocol):
    """What every stored thing has."""

    @property
    def id(self) -> int: ...
    @property
    def account_id(self) -> AccountId: ...
    @property
    def version(self) -> int: ...


View = TypeVar("View", bound=Versioned)
Data = TypeVar("Data")
T = TypeVar("T")
STEP = 500
"""Rows in one statement."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the use cases work with."""

    ids: Ids
    clock: Clock
    registry: ActionRegistry
    events: Events
    audit: Audit


class Shelf(ABC, Generic[View, Data]):
    """Use cases for one sort of thing. Each takes the caller's transaction and raises its refusal;
    what is written is audited and announced as `rule.created`, `rule.changed`, `rule.deleted`."""

    word: ClassVar[str]
    table: ClassVar[Any]
    kept: ClassVar[tuple[str, ...]]
    """Fields of the view that staff write; audit and history keep them."""
    stored_as: ClassVar[Mapping[str, str]] = {}
    """The columns of the fields that are named otherwise."""
    unique: ClassVar[tuple[str, ...]] = ()
    """Fields that no two things of an account share."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    @abstractmethod
    def check(self, data: Data) -> dict[str, Any]:
        """The columns to write. Raises `Invalid`; asks nothing of the database."""

    @abstractmethod
    async def allow(
        self, tx: Tx, account_id: AccountId, values: Mapping[str, Any], before: View | None
    ) -> None:
        """Raises when these columns may not be written beside what else is stored."""

    async def allow_delete(self, tx: Tx, before: View) -> None:
        """Raises when this may not go."""

    @abstractmethod
    async def find(self, tx: Tx, account_id: AccountId, number: int) -> View | None:
        """The one of this account, or None."""

    async def superseded(
        self, tx: Tx, account_id: AccountId, gone: Sequence[tuple[int, Written]]
    ) -> None:
        """Told before these are replaced or deleted, by whatever way, each by id as it was."""

    def name_of(self, written: Written) -> str:
        """What people call it."""
        return str(written["name"])

    def written(self, view: View) -> dict[str, Any]:
        """What history keeps of it."""
        found = {name: plain(getattr(view, name)) for name in self.kept}
        return {**found, "version": view.version}

    def as_written(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """What `check` gives, by the names that staff use; without a version."""
        return {
            name: plain(columns[self.stored_as.get(name, name)])
            for name in self.kept
            if self.stored_as.get(name, name) in columns
        }

    def checked(self, data: Data) -> dict[str, Any]:
        """What history would keep of it, but for the version. Raises `Invalid`; pure."""
        return self.as_written(self.check(data))

    def as_columns(self, written: Written) -> dict[str, Any]:
        """The other way round; what an older program did not write is null."""
        return {self.stored_as.get(name, name): written.get(name) for name in self.kept}

    @abstractmethod
    async def page(
        self, tx: Tx, account_id: AccountId, before: int | None, limit: int
    ) -> Page[View]:
        """Newest first."""

    async def read_all(self, tx: Tx, account_id: AccountId) -> dict[Key, Written]:
        """All of the account's, oldest first. In steps, so that the event loop has its turns."""
        views: list[View] = []
        page = await self.page(tx, account_id, None, STEP)
        while page.next_before is not None:
            views += page.items
            page = await self.page(tx, account_id, page.next_before, STEP)
        views += page.items
        return {(self.word, view.id): self.written(view) for view in reversed(views)}

    async def get(self, tx: Tx, account_id: AccountId, number: int) -> View:
        """Raises `NotFound`, also for another account's."""
        view = await self.find(tx, account_id, number)
        if view is None:
            raise NotFound(what=self.word)
        return view

    async def create(self, tx: Tx, actor: Actor, account_id: AccountId, data: Data) -> View:
        """Raises `Invalid`, and what `allow` refuses with."""
        book = await bump(tx, account_id)
        values = self.check(data)
        await self.allow(tx, account_id, values, None)
        (number,) = await self.insert(tx, account_id, [values])
        now = await self.get(tx, account_id, number)
        await self._tell(tx, actor, now, "created", book, None, self.written(now))
        return now

    async def update(
        self,
        tx: Tx,
        actor: Actor,
        account_id: AccountId,
        number: int,
        data: Data,
        *,
        version: int,
    ) -> View:
        """Replaces it as it was in `version`; `VersionConflict` when somebody saved since."""
        book = await bump(tx, account_id)
        before = await self.get(tx, account_id, number)
        values = self.check(data)
        await self.allow(tx, account_id, values, before)
        await self.superseded(tx, account_id, [(number, self.written(before))])
        touched = await tx.run(
            update(self.table)
            .where(self.table.id == number, self.table.version == version)
            .values(**values, version=version + 1, updated_at=self._tools.clock.now())
        )
        if not touched:
            raise VersionConflict(current=before.version)
        now = await self.get(tx, account_id, number)
        was, is_now = self.written(before), self.written(now)
        await self._tell(tx, actor, now, "changed", book, was, is_now)
        return now

    async def delete(
        self,
        tx: Tx,
        actor: Actor,
        account_id: AccountId,
        number: int,
        *,
        version: int | None = None,
    ) -> None:
        """With `version`: `VersionConflict` when somebody saved since."""
        book = await bump(tx, account_id)
        before = await self.get(tx, account_id, number)
        await self.allow_delete(tx, before)
        await self.superseded(tx, account_id, [(number, self.written(before))])
        statement = delete(self.table).where(self.table.id == number)
        if version is not None:
            statement = statement.where(self.table.version == version)
        if not await tx.run(statement):
            raise VersionConflict(current=before.version)
        await self._tell(tx, actor, before, "deleted", book, self.written(before), None)

    async def insert(
        self, tx: Tx, account_id: AccountId, rows: Sequence[Mapping[str, Any]]
    ) -> list[int]:
        """Inserts checked columns at one go; the new ids. Neither audits nor announces."""
        now = self._tools.clock.now()
        numbers = [self._tools.ids.new() for _ in rows]
        common = {"account_id": account_id, "version": 1, "created_at": now, "updated_at": now}
        await tx.many(
            insert(self.table),
            [{**row, **common, "id": number} for row, number in zip(rows, numbers, strict=True)],
        )
        return numbers

    async def put(
        self, tx: Tx, account_id: AccountId, changes: Sequence[Change], book: int
    ) -> None:
        """Carries out changes of this sort of thing as they are written, in steps of 500 rows.

        Nothing is checked: they were planned from the book in the version that the caller has
        locked. Ids and versions are those of the changes. Raises `VersionConflict` with `book` when
        one was not as it was before.
        """
        mine = [change for change in changes if change.what == self.word]
        gone = [(change.id, change.before) for change in mine if change.before is not None]
        for step in steps(gone):
            await self.superseded(tx, account_id, step)
        made_anew = [change for change in mine if self._makes_way(change)]
        for some in steps([c for c in mine if c.after is None] + made_anew):
            if await self._delete_many(tx, account_id, some) != len(some):
                raise VersionConflict(current=book)
        anew = {change.id for change in made_anew}
        for some in steps([c for c in mine if c.kind == "changed" and c.id not in anew]):
            if await self._update_many(tx, account_id, some) != len(some):
                raise VersionConflict(current=book)
        for some in steps([c for c in mine if c.kind == "added"] + made_anew):
            await self._insert_many(tx, account_id, some)

    def _makes_way(self, change: Change) -> bool:
        """Two that swap what must be unique can only be deleted both, and then inserted."""
        before, after = change.before, change.after
        if before is None or after is None:
            return False
        return any(before[name] != after[name] for name in self.unique)

    async def _delete_many(self, tx: Tx, account_id: AccountId, some: Sequence[Change]) -> int:
        ids = [change.id for change in some]
        statement = delete(self.table).where(
            self.table.account_id == account_id, self.table.id.in_(ids)
        )
        return await tx.run(statement)

    async def _update_many(self, tx: Tx, account_id: AccountId, some: Sequence[Change]) -> int:
        rows = [
            {
                **self.as_columns(change.after or {}),
                "version": (change.after or {})["version"],
                "updated_at": self._tools.clock.now(),
                "its_id": change.id,
                "its_version": (change.before or {})["version"],
            }
            for change in some
        ]
        statement = (
            update(self.table)
            .where(self.table.id == bindparam("its_id"))
            .where(self.table.version == bindparam("its_version"))
            .where(self.table.account_id == account_id)
        )
        return await tx.many(statement, rows)

    async def _insert_many(self, tx: Tx, account_id: AccountId, some: Sequence[Change]) -> None:
        now = self._tools.clock.now()
        await tx.many(
            insert(self.table),
            [
                {
                    **self.as_columns(change.after or {}),
                    "id": change.id,
                    "account_id": account_id,
                    "version": (change.after or {})["version"],
                    "created_at": moment_of(change.id),
                    "updated_at": now,
                }
                for change in some
            ],
        )

    async def _tell(
        self,
        tx: Tx,
        actor: Actor,
        view: View,
        change: str,
        book: int,
        before: Written | None,
        after: Written | None,
    ) -> None:
        """Audit, history and event of one change, which made version `book`."""
        name = self.name_of(after or before or {})
        await record(
            tx,
            view.account_id,
            book,
            [Change(self.word, view.id, name, before, after)],
            actor=actor.name,
            at=self._tools.clock.now(),
        )
        await self._tools.audit.record(
            tx,
            actor,
            f"replies.{self.word}.{change}",
            f"{self.word}:{view.id}",
            account_id=view.account_id,
            before=before,
            after=after,
        )
        payload = {"id": str(view.id), "by": actor.name}
        event = Event(
            view.account_id, f"{self.word}.{change}", self.word, view.id, payload, view.version
        )
        await self._tools.events.emit(tx, [event])


async def bump(tx: Tx, account_id: AccountId) -> int:
    """Raises the version of the account's book, and so locks the book until the commit; the version
    it has now."""
    statement = upsert(tx.dialect, Book).values(account_id=account_id, version=1)
    version = await tx.value(
        statement.on_conflict_do_update(
            index_elements=[Book.account_id], set_={"version": Book.version + 1}
        ).returning(Book.version)
    )
    return int(version)


def steps(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """At most 500 at a time."""
    for start in range(0, len(things), STEP):
        yield things[start : start + STEP]
