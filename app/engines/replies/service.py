"""Rules, bindings and flows: made, changed, deleted, and loaded many at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

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
from app.engines.replies.checks import (
    flows_started,
    refuse_nul,
    refuse_unknown_flows,
    refuse_while_started,
    stored_answers,
)
from app.engines.replies.errors import DuplicateBinding, DuplicateFlow
from app.engines.replies.flows import actions_of, prepare, written_form
from app.engines.replies.inputs import BindingInput, FlowInput, RuleInput
from app.engines.replies.matcher import RuleKind
from app.engines.replies.models import Binding, Flow, FlowVersion, Rule
from app.engines.replies.patterns import BadPattern, check_pattern
from app.engines.replies.plan_checks import checked
from app.engines.replies.queries import BindingView, FlowView, RuleView
from app.engines.replies.shelf import Shelf, Tools, bump


class Rules(Shelf[RuleView, RuleInput]):
    word = "rule"
    table = Rule
    kept = ("name", "kind", "words", "priority", "enabled", "answers")

    def check(self, data: RuleInput) -> dict[str, Any]:
        if data.kind is RuleKind.PATTERN:
            for place, word in enumerate(data.words):
                _check_pattern(word, f"words[{place}]")
        return {
            "name": data.name.strip(),
            "kind": data.kind.value,
            "words": list(dict.fromkeys(data.words)),
            "priority": data.priority,
            "enabled": data.enabled,
            "answers": stored_answers(data.answers, self._tools.registry),
        }

    async def allow(
        self, tx: Tx, account_id: AccountId, values: Mapping[str, Any], before: RuleView | None
    ) -> None:
        await refuse_unknown_flows(tx, account_id, flows_started(values["answers"]))

    async def find(self, tx: Tx, account_id: AccountId, number: int) -> RuleView | None:
        return await queries.find_rule(tx, account_id, number)


def _check_pattern(word: str, field: str) -> None:
    try:
        check_pattern(word)
    except BadPattern as error:
        raise Invalid(field=field, problem=str(error)) from error


class Bindings(Shelf[BindingView, BindingInput]):
    """One on each key: another is refused with `DuplicateBinding`."""

    word = "binding"
    table = Binding
    kept = ("on", "key", "enabled", "answers")

    def check(self, data: BindingInput) -> dict[str, Any]:
        return {
            "on": data.on,
            "key": data.key,
            "enabled": data.enabled,
            "answers": stored_answers(data.answers, self._tools.registry),
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


class Flows(Shelf[FlowView, FlowInput]):
    """Names are unique: `DuplicateFlow`. While something starts a flow, it keeps its name and is not
    deleted: `FlowInUse`. Followers in the middle of one that is changed, renamed, switched off or
    deleted finish it as it was when they began."""

    word = "flow"
    table = Flow
    kept = ("name", "enabled", "plan")

    def check(self, data: FlowInput) -> dict[str, Any]:
        refuse_nul(data.plan, "plan")
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


class Replies:
    """Everything a shop answers, as staff change it."""

    def __init__(
        self, ids: Ids, clock: Clock, registry: ActionRegistry, events: Events, audit: Audit
    ) -> None:
        self._tools = Tools(ids, clock, registry, events, audit)
        self.rules = Rules(self._tools)
        self.bindings = Bindings(self._tools)
        self.flows = Flows(self._tools)

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
        """Adds all of them, checked like single ones, with one audit row and one event.

        Flows are added in the order given, so one that starts another comes after it. Beside a
        running server give at most 500 at a time, which keeps the transaction short.
        """
        await bump(tx, account_id)
        for flow in flows:
            values = self.flows.check(flow)
            await self.flows.allow(tx, account_id, values, None)
            await self.flows.insert(tx, account_id, [values])
        for binding in bindings:
            values = self.bindings.check(binding)
            await self.bindings.allow(tx, account_id, values, None)
            await self.bindings.insert(tx, account_id, [values])
        rows = [self.rules.check(rule) for rule in rules]
        await refuse_unknown_flows(
            tx, account_id, {name for row in rows for name in flows_started(row["answers"])}
        )
        await self.rules.insert(tx, account_id, rows)
        counts = {"rules": len(rules), "bindings": len(bindings), "flows": len(flows)}
        target = f"account:{account_id}"
        await self._tools.audit.record(
            tx, actor, "replies.import", target, account_id=account_id, after=counts
        )
        event = Event(account_id, "rule.imported", "rule", account_id, counts)
        await self._tools.events.emit(tx, [event])
