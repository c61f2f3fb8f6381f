"""Reads of rules, bindings and flows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import Text, cast, func, or_, select

from app.core.ids import AccountId
from app.db.tx import Tx
from app.engines.replies.compiled import Stored, StoredBinding, StoredFlow, StoredRule
from app.engines.replies.models import Binding, Book, Flow, FlowVersion, Rule

T = TypeVar("T")

FLOWS_KEPT = timedelta(days=7)
"""How long a superseded flow is kept for those who began with it. A dialogue without an answer ends
after a day at most, and one that waits while a person holds the conversation after three."""
MOST_SUPERSEDED = 500
"""Superseded flows of an account that are kept at hand, so that nobody fills the memory by saving."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page, newest first; `next_before` is the id to go on from, None at the end."""

    items: tuple[T, ...]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class RuleView:
    id: int
    account_id: AccountId
    name: str
    kind: str
    words: tuple[str, ...]
    priority: int
    enabled: bool
    answers: Any
    hours: Mapping[str, Any] | None
    audience: Mapping[str, Any] | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class BindingView:
    id: int
    account_id: AccountId
    on: str
    key: str
    enabled: bool
    answers: Any
    hours: Mapping[str, Any] | None
    audience: Mapping[str, Any] | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class FlowView:
    id: int
    account_id: AccountId
    name: str
    enabled: bool
    plan: Mapping[str, Any]
    """Everything of `FlowPlan` but the name."""
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class SettingsView:
    """What holds for the whole book, as `BookSettings` is written."""

    settings: Mapping[str, Any]
    version: int
    """The book's: it rises with every change of a rule, binding, flow or of these settings."""


_RULE = select(
    Rule.id,
    Rule.account_id,
    Rule.name,
    Rule.kind,
    Rule.words,
    Rule.priority,
    Rule.enabled,
    Rule.answers,
    Rule.hours,
    Rule.audience,
    Rule.version,
    Rule.created_at,
    Rule.updated_at,
)
_BINDING = select(
    Binding.id,
    Binding.account_id,
    Binding.on,
    Binding.key,
    Binding.enabled,
    Binding.answers,
    Binding.hours,
    Binding.audience,
    Binding.version,
    Binding.created_at,
    Binding.updated_at,
)
_FLOW = select(
    Flow.id,
    Flow.account_id,
    Flow.name,
    Flow.enabled,
    Flow.steps,
    Flow.version,
    Flow.created_at,
    Flow.updated_at,
)


def _rule(row: Any) -> RuleView:
    return RuleView(
        row.id,
        AccountId(row.account_id),
        row.name,
        row.kind,
        tuple(row.words),
        row.priority,
        bool(row.enabled),
        row.answers,
        row.hours,
        row.audience,
        row.version,
        row.created_at,
        row.updated_at,
    )


def _binding(row: Any) -> BindingView:
    return BindingView(
        row.id,
        AccountId(row.account_id),
        row.on,
        row.key,
        bool(row.enabled),
        row.answers,
        row.hours,
        row.audience,
        row.version,
        row.created_at,
        row.updated_at,
    )


def _flow(row: Any) -> FlowView:
    return FlowView(
        row.id,
        AccountId(row.account_id),
        row.name,
        bool(row.enabled),
        row.steps,
        row.version,
        row.created_at,
        row.updated_at,
    )


# --- one, or a page -------------------------------------------------------------------------------


async def find_rule(tx: Tx, account_id: AccountId, rule_id: int) -> RuleView | None:
    row = await tx.first(_RULE.where(Rule.account_id == account_id, Rule.id == rule_id))
    return None if row is None else _rule(row)


async def find_binding(tx: Tx, account_id: AccountId, binding_id: int) -> BindingView | None:
    row = await tx.first(_BINDING.where(Binding.account_id == account_id, Binding.id == binding_id))
    return None if row is None else _binding(row)


async def find_flow(tx: Tx, account_id: AccountId, flow_id: int) -> FlowView | None:
    row = await tx.first(_FLOW.where(Flow.account_id == account_id, Flow.id == flow_id))
    return None if row is None else _flow(row)


async def list_rules(
    tx: Tx, account_id: AccountId, *, before: int | None = None, limit: int = 50, text: str = ""
) -> Page[RuleView]:
    """`text` is looked for in names and words, capitals alike."""
    statement = _RULE.where(Rule.account_id == account_id)
    if text:
        statement = statement.where(
            or_(
                func.lower(Rule.name).contains(text.lower(), autoescape=True),
                func.lower(cast(Rule.words, Text)).contains(text.lower(), autoescape=True),
            )
        )
    rows, more = await _page(tx, statement, Rule.id, before, limit)
    return Page(tuple(map(_rule, rows)), more)


async def list_bindings(
    tx: Tx, account_id: AccountId, *, before: int | None = None, limit: int = 50, on: str = ""
) -> Page[BindingView]:
    statement = _BINDING.where(Binding.account_id == account_id)
    if on:
        statement = statement.where(Binding.on == on)
    rows, more = await _page(tx, statement, Binding.id, before, limit)
    return Page(tuple(map(_binding, rows)), more)


async def list_flows(
    tx: Tx, account_id: AccountId, *, before: int | None = None, limit: int = 50
) -> Page[FlowView]:
    statement = _FLOW.where(Flow.account_id == account_id)
    rows, more = await _page(tx, statement, Flow.id, before, limit)
    return Page(tuple(map(_flow, rows)), more)


async def _page(
    tx: Tx, statement: Any, key: Any, before: int | None, limit: int
) -> tuple[list[Any], int | None]:
    if before is not None:
        statement = statement.where(key < before)
    rows = list(await tx.all(statement.order_by(key.desc()).limit(limit + 1)))
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


# --- for the book ---------------------------------------------------------------------------------


async def read_versions(tx: Tx) -> dict[AccountId, int]:
    """The version of each account's book."""
    rows = await tx.all(select(Book.account_id, Book.version))
    return {AccountId(account_id): version for account_id, version in rows}


async def read_stored(
    tx: Tx, account_id: AccountId, version: int, *, flows_since: datetime | None = None
) -> Stored:
    """What is enabled of an account, oldest first; and the flows superseded since `flows_since`."""
    rules = await tx.all(
        select(
            Rule.id,
            Rule.version,
            Rule.name,
            Rule.kind,
            Rule.words,
            Rule.priority,
            Rule.answers,
            Rule.hours,
            Rule.audience,
        )
        .where(Rule.account_id == account_id, Rule.enabled)
        .order_by(Rule.id)
    )
    bindings = await tx.all(
        select(
            Binding.id,
            Binding.version,
            Binding.on,
            Binding.key,
            Binding.answers,
            Binding.hours,
            Binding.audience,
        )
        .where(Binding.account_id == account_id, Binding.enabled)
        .order_by(Binding.id)
    )
    flows = await tx.all(
        select(Flow.id, Flow.version, Flow.name, Flow.steps)
        .where(Flow.account_id == account_id, Flow.enabled)
        .order_by(Flow.id)
    )
    return Stored(
        version,
        [StoredRule(*row) for row in rules],
        [StoredBinding(*row) for row in bindings],
        [StoredFlow(*row) for row in flows],
        [] if flows_since is None else await _read_superseded(tx, account_id, flows_since),
        await tx.value(select(Book.settings).where(Book.account_id == account_id)),
    )


async def read_settings(tx: Tx, account_id: AccountId) -> SettingsView:
    """The settings as written, and the version of the book; version 0 where nothing was written."""
    row = await tx.first(select(Book.version, Book.settings).where(Book.account_id == account_id))
    return SettingsView({}, 0) if row is None else SettingsView(row.settings or {}, row.version)


async def _read_superseded(tx: Tx, account_id: AccountId, since: datetime) -> list[StoredFlow]:
    rows = await tx.all(
        select(FlowVersion.flow_id, FlowVersion.version, FlowVersion.name, FlowVersion.steps)
        .where(FlowVersion.account_id == account_id, FlowVersion.superseded_at > since)
        .order_by(FlowVersion.superseded_at.desc(), FlowVersion.flow_id, FlowVersion.version)
        .limit(MOST_SUPERSEDED)
    )
    return [StoredFlow(*row) for row in rows]
