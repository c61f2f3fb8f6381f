"""What is checked of written answers, wherever they stand."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError
from sqlalchemy import Text, cast, select

from app.core.actions import ActionRegistry
from app.core.errors import Invalid
from app.core.ids import AccountId
from app.core.problems import problem
from app.db.tx import Tx
from app.engines.replies.compiled import parse_answers
from app.engines.replies.errors import FlowInUse
from app.engines.replies.fields import storable
from app.engines.replies.flows import actions_of
from app.engines.replies.models import Binding, Flow, Rule


def stored_answers(
    answers: Sequence[Sequence[Mapping[str, Any]]], registry: ActionRegistry
) -> list[list[dict[str, Any]]]:
    """The answers in stored form. Raises `Invalid` for the first action that is wrong."""
    refuse_unstorable(answers, "answers")
    parsed = parse_answers(answers, registry)
    return [[action.written() for action in answer] for answer in parsed]


def refuse_unstorable(value: object, field: str) -> None:
    """Raises `Invalid` where a text is not `storable`, at whatever depth."""
    if isinstance(value, str):
        try:
            storable(value)
        except PydanticCustomError as error:
            found = {"type": error.type, "msg": error.message()}
            raise Invalid(problem(found, "zh"), field=field, problem=problem(found, "en")) from None
    if isinstance(value, Mapping):
        for name, inner in value.items():
            refuse_unstorable(name, field)
            refuse_unstorable(inner, f"{field}.{name}")
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            refuse_unstorable(inner, f"{field}[{place}]")


def flows_started(answers: Iterable[Iterable[Mapping[str, Any]]]) -> set[str]:
    """The names of the flows that stored answers start."""
    return {
        action["with"]["flow"]
        for answer in answers
        for action in answer
        if action.get("do") == "start_flow"
    }


async def refuse_unknown_flows(tx: Tx, account_id: AccountId, names: set[str]) -> None:
    """Raises `Invalid` when one of these flows does not exist."""
    if not names:
        return
    rows = await tx.all(
        select(Flow.name).where(Flow.account_id == account_id, Flow.name.in_(sorted(names)))
    )
    missing = names - {row.name for row in rows}
    if missing:
        raise Invalid(
            field="answers",
            problem=f"there is no flow named {min(missing)}",
            chinese=f"没有名为「{min(missing)}」的流程",
        )


async def refuse_while_started(tx: Tx, account_id: AccountId, flow_id: int, flow_name: str) -> None:
    """Raises `FlowInUse` while a rule, a binding or another flow starts this one."""
    for table, written, name in (
        (Rule, Rule.answers, Rule.name),
        (Binding, Binding.answers, Binding.key),
        (Flow, Flow.steps, Flow.name),
    ):
        rows = await tx.all(
            select(written, name).where(
                table.account_id == account_id,
                table.id != flow_id,
                cast(written, Text).contains('"start_flow"'),
            )
        )
        for value, used_by in rows:
            answers = actions_of(value) if isinstance(value, dict) else value
            if flow_name in flows_started(answers):
                raise FlowInUse(used_by=used_by or table.__tablename__)
