"""Why the shop answers as it does: dry runs, past deliveries, and rules in each other's way."""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from app.conversation.reasons import is_by_rule, reason_of
from app.conversation.rehearsal import Rehearsal, rehearse
from app.core.errors import NotFound
from app.core.incoming import Incoming, Kind
from app.core.replies import plain_text, to_dict
from app.core.text import Language
from app.engines.replies.conditions import Situation
from app.engines.replies.conflicts import Finding, FindingKind, find_conflicts
from app.engines.replies.fields import StoredTagName, few, near, storable
from app.engines.replies.inputs import MESSAGE_TYPES, BindingPlace
from app.engines.replies.matcher import Explanation, Hit, Lapse, RuleKind
from app.engines.support.queries import TraceView, find_trace
from app.web.api.replies import Account, Reader
from app.web.deps import Caller, needs, services
from app.web.language import language_of

router = APIRouter(prefix="/replies", tags=["replies"])


class RuleRef(BaseModel):
    id: str
    name: str


class ConflictOut(BaseModel):
    kind: FindingKind
    message: str
    """For people, in the language of Accept-Language."""
    rules: list[RuleRef]
    """First the one it is about, then up to ten of the others."""
    words: list[str]
    """As they are compared; first the one it is about."""
    count: int
    """How many words the rule has, rules tie, words are swallowed."""


class ConflictsOut(BaseModel):
    version: int
    """Of the book that was looked at."""
    counts: dict[FindingKind, int]
    items: list[ConflictOut]
    left_off: int
    """How many findings `limit` left off."""


class DryEvent(BaseModel):
    """`key`: the menu key, the scene, or the kind of message."""

    model_config = ConfigDict(extra="forbid")

    on: BindingPlace
    key: Annotated[str, StringConstraints(max_length=128), AfterValidator(storable)] = ""

    @model_validator(mode="after")
    def _type_is_known(self) -> "DryEvent":
        if self.on == "type" and self.key not in MESSAGE_TYPES:
            raise ValueError(f"key must be one of {', '.join(MESSAGE_TYPES)}")
        return self

    def incoming(self) -> Incoming:
        return (
            Incoming(Kind(self.key)) if self.on == "type" else Incoming(Kind(self.on), key=self.key)
        )


class DryRun(BaseModel):
    """Either a text or an event. `key` stands for a delivery's key: it chooses among answers."""

    model_config = ConfigDict(extra="forbid")

    text: (
        Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(storable)]
        | None
    ) = None
    event: DryEvent | None = None
    key: Annotated[str, StringConstraints(max_length=200), AfterValidator(storable)] = "dry-run"
    at: Annotated[AwareDatetime, AfterValidator(near)] | None = None
    """The moment it is tried for; now when left out."""
    tags: Annotated[list[StoredTagName], few(100), Field(max_length=100)] = []
    """The follower's."""

    @model_validator(mode="after")
    def _one_of_two(self) -> "DryRun":
        if (self.text is None) == (self.event is None):
            raise ValueError("give either text or event")
        return self

    def incoming(self) -> Incoming:
        return self.event.incoming() if self.event else Incoming(Kind.TEXT, text=self.text or "")


class RuleHit(BaseModel):
    rule_id: str
    name: str
    kind: RuleKind
    word: str
    priority: int


class PassedHit(RuleHit):
    why: Lapse
    """`hours`: it does not hold at that time; `audience`: not for this follower."""


class DryMessage(BaseModel):
    kind: str
    text: str
    """Words that stand for it."""
    reply: dict[str, Any]


class DryRunOut(BaseModel):
    handler: str | None
    rule: RuleHit | None
    """The keyword rule that would answer."""
    binding_id: str | None
    reason: str
    runners_up: list[RuleHit]
    """Rules that match too, best first."""
    passed: list[PassedHit]
    """Rules that would have gone before, had they held, best first."""
    compared: str | None
    """The text as it is compared with rules: without punctuation, synonyms replaced."""
    messages: list[DryMessage]
    effects: list[dict[str, Any]]
    flow: str | None
    missed: bool
    apart: str | None
    why: dict[str, Any]


class SaidOut(BaseModel):
    id: str
    kind: str
    text: str
    created_at: datetime


class TraceOut(BaseModel):
    key: str
    message_id: str
    conversation_id: str
    kind: str
    text: str
    why: dict[str, Any]
    answered: Literal["passive", "empty", "waiting", "unknown"]
    """`passive` in the response itself, `empty` with the empty success; `waiting` for an apart
    handler; `unknown` once the receipt has expired."""
    tries: int | None
    said: list[SaidOut]
    wx_created_at: int | None
    received_at: datetime


# --- calls ----------------------------------------------------------------------------------------


@router.get("/conflicts")
async def get_conflicts(
    request: Request,
    found: Account,
    _: Reader,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> ConflictsOut:
    """Rules and words that can never win, words that tie, words that swallow others.

    Of what is enabled. Only what is certain is named.
    """
    runtime = services(request)
    await runtime.book.refresh([found.id])
    compiled = runtime.book.current(found.id)
    findings = await asyncio.to_thread(find_conflicts, compiled)
    lang = language_of(request.headers)
    return ConflictsOut(
        version=compiled.version,
        counts=Counter(one.kind for one in findings),
        items=[_conflict_out(one, lang) for one in findings[:limit]],
        left_off=max(0, len(findings) - limit),
    )


@router.post("/dry-run")
async def dry_run(request: Request, body: DryRun, found: Account, _: Reader) -> DryRunOut:
    """What a follower without a dialogue would be answered, and why. Nothing is sent.

    `reason` is for people, in the language of Accept-Language.
    """
    runtime = services(request)
    await runtime.book.refresh([found.id])
    incoming = body.incoming()
    now = body.at or runtime.clock.now()
    tags = frozenset(body.tags)
    tried = rehearse(runtime.routing, found.view, incoming, key=body.key, now=now, tags=tags)
    compiled = runtime.book.current(found.id)
    explained = Explanation(None)
    if body.text is not None:
        explained = compiled.explain(body.text, Situation(now, found.view.timezone, tags))
    out = _dry_run_out(tried, explained, language_of(request.headers))
    out.compared = None if body.text is None else compiled.comparable_text(body.text)
    return out


@router.get("/traces/{key}")
async def get_trace(
    request: Request,
    key: Annotated[str, Path(max_length=200, description="A delivery's key, `w:m:…` or `w:e:…`.")],
    found: Account,
    _: Annotated[Caller, needs("traces.read")],
) -> TraceOut:
    """Which rule or binding answered a past delivery, why, and what was said."""
    view = None
    if "\x00" not in key:
        view = await services(request).database.read(lambda tx: find_trace(tx, found.id, key))
    if view is None:
        raise NotFound(what="delivery")
    return _trace_out(view)


# --- between the engines and JSON -----------------------------------------------------------------


def _conflict_out(found: Finding, lang: Language) -> ConflictOut:
    return ConflictOut(
        kind=found.kind,
        message=found.say(lang),
        rules=[RuleRef(id=str(rule.id), name=rule.name) for rule in found.rules],
        words=list(found.words),
        count=found.count,
    )


def _hit_out(hit: Hit) -> RuleHit:
    return RuleHit(
        rule_id=str(hit.rule_id),
        name=hit.name,
        kind=hit.kind,
        word=hit.word,
        priority=hit.priority,
    )


def _dry_run_out(tried: Rehearsal, explained: Explanation, lang: Language) -> DryRunOut:
    by_rule = is_by_rule(tried.why, explained)
    return DryRunOut(
        handler=tried.why.get("handler"),
        rule=_hit_out(explained.winner) if by_rule and explained.winner else None,
        binding_id=tried.why.get("binding"),
        reason=reason_of(tried.why, explained, lang),
        runners_up=[_hit_out(hit) for hit in explained.runners_up] if by_rule else [],
        passed=[
            PassedHit(**_hit_out(one.hit).model_dump(), why=one.lapse) for one in explained.passed
        ],
        compared=None,
        messages=[
            DryMessage(kind=reply.kind, text=plain_text(reply), reply=to_dict(reply))
            for reply in tried.messages
        ],
        effects=[dict(effect) for effect in tried.effects],
        flow=tried.flow,
        missed=tried.missed,
        apart=tried.apart,
        why=dict(tried.why),
    )


_ANSWERED: dict[int | None, Literal["passive", "empty", "waiting"]] = {
    200: "passive",
    204: "empty",
    None: "waiting",
}


def _trace_out(view: TraceView) -> TraceOut:
    return TraceOut(
        key=view.key,
        message_id=str(view.message_id),
        conversation_id=str(view.conversation_id),
        kind=view.kind,
        text=view.text,
        why=dict(view.why),
        answered="unknown" if view.tries is None else _ANSWERED[view.status],
        tries=view.tries,
        said=[
            SaidOut(id=str(one.id), kind=one.kind, text=one.text, created_at=one.created_at)
            for one in view.said
        ],
        wx_created_at=view.wx_created_at,
        received_at=view.received_at,
    )
