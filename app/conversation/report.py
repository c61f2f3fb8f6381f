"""What the tester found, as JSON says it; the command's lines are made of the same."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from app.conversation.tester import Came, Outcome
from app.conversation.verdict import Changed, Judged, Verdict, differences, judge
from app.core.replies import plain_text, to_dict
from app.core.text import Language
from app.engines.replies.compiled import Broken


class MessageReport(BaseModel):
    kind: str
    text: str
    """Words that stand for it."""
    reply: dict[str, Any]


class CameReport(BaseModel):
    """What came of a step."""

    text: str
    messages: list[MessageReport]
    effects: list[dict[str, Any]]
    """What would be written, by kind; what it would say is not known here."""
    handler: str | None
    rule: str | None
    binding: str | None
    flow: str | None
    step: str | None
    tags: list[str]
    missed: bool
    apart: str | None
    """The handler that would answer apart; it is not run."""
    fault: str | None
    """The error of a handler that failed."""
    reason: str


class FailureReport(BaseModel):
    what: str
    wanted: Any
    came: Any


class StepReport(BaseModel):
    number: int
    did: str
    at: datetime
    came: CameReport | None
    failures: list[FailureReport]


class ConversationReport(BaseModel):
    name: str
    passed: bool
    steps: list[StepReport]


class ChangeReport(BaseModel):
    """A step that the two books answer differently."""

    conversation: str
    number: int
    did: str
    before: CameReport
    now: CameReport


class BrokenReport(BaseModel):
    what: str
    name: str
    problem: str


class Report(BaseModel):
    passed: bool
    steps: int
    """Without waits."""
    expected: int
    """Steps of which something was expected."""
    failed: int
    broken: list[BrokenReport]
    """What of the rules could not be used."""
    conversations: list[ConversationReport]
    changes: list[ChangeReport] | None
    """Against the other rules, where some were named."""


def report(
    outcomes: Sequence[Outcome],
    against: Sequence[Outcome] | None,
    broken: Sequence[Broken],
    lang: Language,
) -> Report:
    """`against` is what came of the same conversations by the other rules."""
    verdicts = [judge(outcome) for outcome in outcomes]
    judged = [step for verdict in verdicts for step in verdict.steps]
    changes = None if against is None else differences(against, outcomes)
    return Report(
        passed=all(verdict.passed for verdict in verdicts),
        steps=sum(one.step.came is not None for one in judged),
        expected=sum(one.expected for one in judged),
        failed=sum(bool(one.failures) for one in judged),
        broken=[BrokenReport(what=b.what, name=b.name, problem=b.problem) for b in broken],
        conversations=[_conversation(verdict, lang) for verdict in verdicts],
        changes=None if changes is None else [_change(change, lang) for change in changes],
    )


def _conversation(verdict: Verdict, lang: Language) -> ConversationReport:
    return ConversationReport(
        name=verdict.outcome.conversation.name,
        passed=verdict.passed,
        steps=[_step(judged, lang) for judged in verdict.steps],
    )


def _step(judged: Judged, lang: Language) -> StepReport:
    step = judged.step
    return StepReport(
        number=step.number,
        did=step.step.label,
        at=step.at,
        came=None if step.came is None else _came(step.came, lang),
        failures=[
            FailureReport(what=f.what, wanted=f.wanted, came=f.came) for f in judged.failures
        ],
    )


def _change(change: Changed, lang: Language) -> ChangeReport:
    return ChangeReport(
        conversation=change.conversation,
        number=change.number,
        did=change.label,
        before=_came(change.before, lang),
        now=_came(change.now, lang),
    )


def _came(came: Came, lang: Language) -> CameReport:
    return CameReport(
        text=came.text,
        messages=[
            MessageReport(kind=reply.kind, text=plain_text(reply), reply=to_dict(reply))
            for reply in came.messages
        ],
        effects=[dict(effect) for effect in came.effects],
        handler=came.why.get("handler"),
        rule=came.rule,
        binding=came.binding,
        flow=came.flow,
        step=came.step,
        tags=list(came.tags),
        missed=came.missed,
        apart=came.apart,
        fault=came.why.get("fault"),
        reason=came.reasons[lang],
    )
