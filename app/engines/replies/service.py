"""Rules, bindings and flows: made, changed, deleted, and loaded many at once."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from sqlalchemy import func, select, update

from app.core.actions import ActionRegistry
from app.core.clock import Clock
from app.core.errors import Invalid
from app.core.events import Event
from app.core.ids import AccountId, Ids
from app.db.audit import Actor, Audit
from app.db.events import Events
from app.db.hot import upsert
from app.db.tx import Tx
from app.engines.replies import queries
from app.engines.replies.book_plan import Plan, WrittenBook
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.changes import SETTINGS, Change, Key, Written, counts, net
from app.engines.replies.checks import (
    flows_started,
    refuse_unknown_flows,
    refuse_unstorable,
    refuse_while_started,
    stored_answers,
)
from app.engines.replies.compiled import collect
from app.engines.replies.errors import DuplicateBinding, DuplicateFlow, VersionConflict
from app.engines.replies.flows import actions_of, prepare, written_form
from app.engines.replies.history import Source, current_version, record
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.matcher import RuleKind
from app.engines.replies.models import Binding, Book, Flow, FlowVersion, Rule
from app.engines.replies.patterns import BadPattern, check_pattern
from app.engines.replies.plan_checks import checked
from app.engines.replies.queries import BindingView, FlowView, Page, RuleView, SettingsView
from app.engines.replies.shelf import Shelf, Tools, bump


class Rules(Shelf[RuleView, RuleInput]):
    word = "rule"
    table = Rule
    kept = ("name", "kind", "words", "priority", "enabled", "answers", "hours", "audience")

    def check(self, data: RuleInput) -> dict[str, Any]:
        if data.kind is RuleKind.PATTERN:
            collect(
                lambda place, word: _check_pattern(word, f"words[{place}]"), enumerate(data.words)
            )
        return {
            "name": data.name.strip(),
            "kind": data.kind.value,
            "words": list(dict.fromkeys(data.words)),
            "priority": data.priority,
            "enabled": data.enabled,
            "answers": stored_answers(data.answers, self._tools.registry),
            "hours": None if data.hours is None else data.hours.written(),
            "audience": None if data.audience is None else data.audience.written(),
        }

    async def allow(
        self, tx: Tx, account_id: AccountId, values: Mapping[str, Any], before: RuleView | None
    ) -> None:
        await refuse_unknown_flows(tx, account_id, flows_started(values["answers"]))

    async def find(self, tx: Tx, account_id: AccountId, number: int) -> RuleView | None:
        return await queries.find_rule(tx, account_id, number)

    async def page(
        self, tx: Tx, account_id: AccountId, before: int | None, limit: int
    ) -> Page[RuleView]:
        return await queries.list_rules(tx, account_id, before=before, limit=limit)


def _check_pattern(word: str, field: str) -> None:
    try:
        check_pattern(word)
    except BadPattern as error:
        raise Invalid(field=field, problem=str(error)) from error


class Bindings(Shelf[BindingView, BindingInput]):
    """One on each key: another is refused with `DuplicateBinding`."""

    word = "binding"
    table = Binding
    kept = ("on", "key", "enabled", "answers", "hours", "audience")
    unique = ("on", "key")

    def name_of(self, written: Written) -> str:
        return f"{written['on']} {written['key']}".rstrip()

    def check(self, data: BindingInput) -> dict[str, Any]:
        return {
            "on": data.on,
            "key": data.key,
            "enabled": data.enabled,
            "answers": stored_answers(data.answers, self._tools.registry),
            "hours": None if data.hours is None else data.hours.written(),
            "audience": None if data.audience is None else data.audience.written(),
        }

    async def allow(
        self, tx: Tx, account_id: AccountId, values: Mapping[str, Any], before: BindingView | None
    ) -> None:
        """The book's lock keeps a free key free until the commit; the unique index backs it."""
        await refuse_unknown_flows(tx, account_id, flows_started(values["answers"]))
        on, key = values["on"], values["key"]
        taken = await tx.value(
            select(Binding.id).where(
                Binding.account_id == account_id, Binding.on == on, Binding.key == key
            )
        )
        if taken is not None and (before is None or taken != before.id):
            raise DuplicateBinding(on=on, key=key)

    async def find(self, tx: Tx, account_id: AccountId, number: int) -> BindingView | None:
        return await queries.find_binding(tx, account_id, number)

    async def page(
        self, tx: Tx, account_id: AccountId, before: int | None, limit: int
    ) -> Page[BindingView]:
        return await queries.list_bindings(tx, account_id, before=before, limit=limit)


class Flows(Shelf[FlowView, FlowInput]):
    """Names are unique: `DuplicateFlow`. While something starts a flow, it keeps its name and is not
    deleted: `FlowInUse`. Followers in the middle of one that is changed, renamed, switched off or
    deleted finish it as it was when they began."""

    word = "flow"
    table = Flow
    kept = ("name", "enabled", "plan")
    stored_as: ClassVar[Mapping[str, str]] = {"plan": "steps"}
    unique = ("name",)

    def check(self, data: FlowInput) -> dict[str, Any]:
        refuse_unstorable(data.plan, "plan")
        plan = checked({**data.plan, "name": data.name.strip()})
        steps = written_form(prepare(plan, self._tools.registry))
        return {"name": plan.name, "enabled": data.enabled, "steps": steps}

    async def allow(
        self, tx: Tx, account_id: AccountId, values: Mapping[str, Any], before: FlowView | None
    ) -> None:
        name = values["name"]
        if before is None or name != before.name:
            taken = select(Flow.id).where(Flow.account_id == account_id, Flow.name == name)
            if await tx.value(taken) is not None:
                raise DuplicateFlow(name=name)
        if before is not None and name != before.name:
            await refuse_while_started(tx, account_id, before.id, before.name)
        started = flows_started(actions_of(values["steps"])) - {name}
        await refuse_unknown_flows(tx, account_id, started)

    async def allow_delete(self, tx: Tx, before: FlowView) -> None:
        await refuse_while_started(tx, before.account_id, before.id, before.name)

    async def superseded(
        self, tx: Tx, account_id: AccountId, gone: Sequence[tuple[int, Mapping[str, Any]]]
    ) -> None:
        """Keeps them for those who began so."""
        statement = upsert(tx.dialect, FlowVersion)
        statement = statement.on_conflict_do_update(
            index_elements=[FlowVersion.flow_id, FlowVersion.version],
            set_={name: statement.excluded[name] for name in ("name", "steps", "superseded_at")},
        )
        for number, written in gone:
            row = {"name": written["name"], "steps": written["plan"], "version": written["version"]}
            at = self._tools.clock.now()
            await tx.run(
                statement.values(flow_id=number, account_id=account_id, superseded_at=at, **row)
            )

    async def find(self, tx: Tx, account_id: AccountId, number: int) -> FlowView | None:
        return await queries.find_flow(tx, account_id, number)

    async def page(
        self, tx: Tx, account_id: AccountId, before: int | None, limit: int
    ) -> Page[FlowView]:
        return await queries.list_flows(tx, account_id, before=before, limit=limit)


class Replies:
    """Everything a shop answers, as staff change it."""

    def __init__(
        self, ids: Ids, clock: Clock, registry: ActionRegistry, events: Events, audit: Audit
    ) -> None:
        self._tools = Tools(ids, clock, registry, events, audit)
        self.rules = Rules(self._tools)
        self.bindings = Bindings(self._tools)
        self.flows = Flows(self._tools)

    @property
    def shelves(self) -> tuple[Shelf[Any, Any], ...]:
        """Flows first, since the others name them."""
        return self.flows, self.rules, self.bindings

    async def read_book(self, tx: Tx, account_id: AccountId) -> WrittenBook:
        """All that is written for the account, what is switched off included."""
        head = await queries.read_settings(tx, account_id)
        things: dict[Key, Written] = {}
        for shelf in self.shelves:
            things |= await shelf.read_all(tx, account_id)
        return WrittenBook(head.version, head.settings, things)

    async def count(self, tx: Tx, account_id: AccountId) -> tuple[int, int]:
        """The book's version, and how many rules, bindings and flows it has."""
        things = 0
        for shelf in self.shelves:
            counted = select(func.count()).select_from(shelf.table)
            things += int(await tx.value(counted.where(shelf.table.account_id == account_id)))
        return await current_version(tx, account_id), things

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
        """Carries a plan out as a whole; the book's version then, the same one for an empty plan.

        One row of history, one of audit, one event. Raises `VersionConflict` when the book is not
        in the version that the plan was made from.
        """
        if not plan.changes:
            current = await current_version(tx, account_id)
            if current != plan.base:
                raise VersionConflict(current=current)
            return current
        book = await bump(tx, account_id)
        if book - 1 != plan.base:
            raise VersionConflict(current=book - 1)
        changes = [self._with_id(change) for change in plan.changes]
        for shelf in self.shelves:
            await shelf.put(tx, account_id, changes, book - 1)
        for change in changes:
            if change.key == SETTINGS:
                await write_settings(tx, account_id, change.after)
        await self._tell(tx, actor, account_id, book, changes, source, note)
        return book

    def _with_id(self, change: Change) -> Change:
        if change.id or change.key == SETTINGS:
            return change
        return replace(change, id=self._tools.ids.new())

    async def _tell(
        self,
        tx: Tx,
        actor: Actor,
        account_id: AccountId,
        book: int,
        changes: Sequence[Change],
        source: Source,
        note: str = "",
    ) -> None:
        await record(
            tx,
            account_id,
            book,
            changes,
            actor=actor.name,
            at=self._tools.clock.now(),
            source=source,
            note=note,
        )
        found = counts(changes)
        done = {"import": "imported", "rollback": "rolled_back", "edit": "changed"}[source]
        await self._tools.audit.record(
            tx,
            actor,
            f"replies.book.{done}",
            f"account:{account_id}",
            account_id=account_id,
            after={**found, "version": book},
        )
        payload = {**found, "by": actor.name}
        event = Event(account_id, f"book.{done}", "book", account_id, payload, book)
        await self._tools.events.emit(tx, [event])

    async def put_settings(
        self,
        tx: Tx,
        actor: Actor,
        account_id: AccountId,
        settings: BookSettings,
        *,
        version: int,
    ) -> SettingsView:
        """Replaces what holds for the whole book as it was in `version` of the book;
        `VersionConflict` when anything of the book was changed since."""
        await bump(tx, account_id)
        before = await queries.read_settings(tx, account_id)
        if before.version != version + 1:
            raise VersionConflict(current=before.version - 1)
        written = settings.written()
        await write_settings(tx, account_id, written)
        change = Change(*SETTINGS, "settings", before.settings or None, written or None)
        await record(
            tx,
            account_id,
            before.version,
            net([change]),
            actor=actor.name,
            at=self._tools.clock.now(),
        )
        await self._tools.audit.record(
            tx,
            actor,
            "replies.settings.changed",
            f"account:{account_id}",
            account_id=account_id,
            before=dict(before.settings),
            after=written,
        )
        event = Event(
            account_id, "book.changed", "book", account_id, {"by": actor.name}, before.version
        )
        await self._tools.events.emit(tx, [event])
        return SettingsView(written, before.version)

    async def import_many(
        self,
        tx: Tx,
        actor: Actor,
        account_id: AccountId,
        *,
        rules: Sequence[RuleInput] = (),
        bindings: Sequence[BindingInput] = (),
        flows: Sequence[FlowInput] = (),
    ) -> None:
        """Adds all of them, checked like single ones, as one version of the book.

        Flows are added in the order given, so one that starts another comes after it. It checks
        within the transaction: what people bring comes by a plan (`app.engines.replies.imports`).
        """
        book = await bump(tx, account_id)
        added: list[Change] = []
        for flow in flows:
            added += await self._add(tx, account_id, self.flows, [flow])
        for binding in bindings:
            added += await self._add(tx, account_id, self.bindings, [binding])
        added += await self._add(tx, account_id, self.rules, rules)
        await self._tell(tx, actor, account_id, book, added, "import")

    async def _add(
        self, tx: Tx, account_id: AccountId, shelf: Shelf[Any, Any], given: Sequence[Any]
    ) -> list[Change]:
        rows = [shelf.check(one) for one in given]
        if shelf is self.rules:
            started = {name for row in rows for name in flows_started(row["answers"])}
            await refuse_unknown_flows(tx, account_id, started)
        else:
            for row in rows:
                await shelf.allow(tx, account_id, row, None)
        numbers = await shelf.insert(tx, account_id, rows)
        written = [{**shelf.as_written(row), "version": 1} for row in rows]
        return [
            Change(shelf.word, number, shelf.name_of(one), None, one)
            for number, one in zip(numbers, written, strict=True)
        ]


async def write_settings(tx: Tx, account_id: AccountId, settings: Written | None) -> None:
    """The settings of a book that the caller has locked by `bump`."""
    await tx.run(
        update(Book)
        .where(Book.account_id == account_id)
        .values(settings=dict(settings or {}) or None)
    )
