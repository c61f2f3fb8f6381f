"""What making, changing and deleting have in common for rules, bindings and flows.

Every change bumps the account's book first, which locks it: changes to one account's replies run
one after the other, and every process sees the version rise together with the change.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from sqlalchemy import delete, insert, update

from app.core.actions import ActionRegistry
from app.core.clock import Clock
from app.core.errors import NotFound
from app.core.events import Event
from app.core.ids import AccountId, Ids
from app.db.audit import Actor, Audit
from app.db.events import Events
from app.db.hot import upsert
from app.db.tx import Tx
from app.engines.replies.errors import VersionConflict
from app.engines.replies.models import Book


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
    """Fields of the view that the audit keeps."""

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
        self, tx: Tx, account_id: AccountId, gone: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """Told before these are replaced or deleted, by whatever way, each by id as it was."""

    async def get(self, tx: Tx, account_id: AccountId, number: int) -> View:
        """Raises `NotFound`, also for another account's."""
        view = await self.find(tx, account_id, number)
        if view is None:
            raise NotFound(what=self.word)
        return view

    async def create(self, tx: Tx, actor: Actor, account_id: AccountId, data: Data) -> View:
        """Raises `Invalid`, and what `allow` refuses with."""
        await bump(tx, account_id)
        values = self.check(data)
        await self.allow(tx, account_id, values, None)
        (number,) = await self.insert(tx, account_id, [values])
        now = await self.get(tx, account_id, number)
        await self._tell(tx, actor, now, "created", None, self._audited(now))
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
        await bump(tx, account_id)
        before = await self.get(tx, account_id, number)
        values = self.check(data)
        await self.allow(tx, account_id, values, before)
        await self.superseded(tx, account_id, [(number, self._audited(before))])
        touched = await tx.run(
            update(self.table)
            .where(self.table.id == number, self.table.version == version)
            .values(**values, version=version + 1, updated_at=self._tools.clock.now())
        )
        if not touched:
            raise VersionConflict(current=before.version)
        now = await self.get(tx, account_id, number)
        await self._tell(tx, actor, now, "changed", self._audited(before), self._audited(now))
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
        await bump(tx, account_id)
        before = await self.get(tx, account_id, number)
        await self.allow_delete(tx, before)
        await self.superseded(tx, account_id, [(number, self._audited(before))])
        statement = delete(self.table).where(self.table.id == number)
        if version is not None:
            statement = statement.where(self.table.version == version)
        if not await tx.run(statement):
            raise VersionConflict(current=before.version)
        await self._tell(tx, actor, before, "deleted", self._audited(before), None)

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

    def _audited(self, view: View) -> dict[str, Any]:
        return {name: getattr(view, name) for name in (*self.kept, "version")}

    async def _tell(
        self,
        tx: Tx,
        actor: Actor,
        view: View,
        change: str,
        before: Mapping[str, Any] | None,
        after: Mapping[str, Any] | None,
    ) -> None:
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


async def bump(tx: Tx, account_id: AccountId) -> None:
    """Raises the version of the account's book, and so locks the book until the commit."""
    statement = upsert(tx.dialect, Book).values(account_id=account_id, version=1)
    await tx.run(
        statement.on_conflict_do_update(
            index_elements=[Book.account_id], set_={"version": Book.version + 1}
        )
    )
