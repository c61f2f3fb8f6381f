"""Rules, bindings and flows: what the shop answers to what, and why it answered as it did."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from app.accounts.registry import LiveAccount
from app.conversation.reasons import is_by_rule, reason_of
from app.conversation.rehearsal import Rehearsal, rehearse
from app.core.errors import NotFound
from app.core.incoming import Incoming, Kind
from app.core.replies import plain_text, to_dict
from app.core.text import Language
from app.db.tx import Tx
from app.engines.replies import queries
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.conditions import Situation
from app.engines.replies.conflicts import Finding, FindingKind, find_conflicts
from app.engines.replies.fields import StoredTagName, few, near, storable
from app.engines.replies.figures import What
from app.engines.replies.flow_preview import preview
from app.engines.replies.flows import prepare
from app.engines.replies.inputs import (
    MESSAGE_TYPES,
    BindingInput,
    BindingPlace,
    FlowInput,
    RuleInput,
)
from app.engines.replies.matcher import Explanation, Hit, Lapse, RuleKind
from app.engines.replies.plan_checks import checked
from app.engines.replies.queries import BindingView, FlowView, Page, RuleView, SettingsView
from app.engines.support.queries import TraceView, find_trace
from app.runtime import Runtime
from app.web.api.tallies import Counted, add_hits
from app.web.deps import Caller, Write, account, needs, services, writes
from app.web.language import language_of

router = APIRouter(prefix="/replies", tags=["replies"])

Account = Annotated[LiveAccount, Depends(account)]
Reader = Annotated[Caller, needs("replies.read")]
Writing = Annotated[Caller, needs("replies.write")]


def _of_63_bits(value: str | None) -> str | None:
    """No database takes a larger number, and there is no such id."""
    if value is not None and int(value) >= 2**63:
        raise PydanticCustomError("no_id", "no id is so large")
    return value


Id = Annotated[str, Path(pattern=r"^[0-9]{1,19}$"), AfterValidator(_of_63_bits)]
Cursor = Annotated[
    str | None,
    Query(pattern=r"^[0-9]{1,19}$", description="`next` of the page before."),
    AfterValidator(_of_63_bits),
]
Limit = Annotated[int, Query(ge=1, le=200)]
MOST_VERSION = 2**31 - 1
"""Of a rule, binding or flow: what the column takes."""
Version = Annotated[
    int,
    Field(ge=1, le=MOST_VERSION, description="The version read before; 409 when it has risen."),
]
SeenVersion = Annotated[
    int | None, Query(ge=1, le=MOST_VERSION, description="409 when the version has risen.")
]

# --- shapes ---------------------------------------------------------------------------------------


class RuleOut(Counted):
    id: str
    name: str
    kind: RuleKind
    words: list[str]
    priority: int
    enabled: bool
    answers: list[list[dict[str, Any]]]
    hours: dict[str, Any] | None
    audience: dict[str, Any] | None
    version: int
    created_at: datetime
    updated_at: datetime


class RuleList(BaseModel):
    items: list[RuleOut]
    next: str | None


class RuleUpdate(RuleInput):
    version: Version


class BindingOut(Counted):
    id: str
    on: BindingPlace
    key: str
    enabled: bool
    answers: list[list[dict[str, Any]]]
    hours: dict[str, Any] | None
    audience: dict[str, Any] | None
    version: int
    created_at: datetime
    updated_at: datetime


class BindingList(BaseModel):
    items: list[BindingOut]
    next: str | None


class BindingUpdate(BindingInput):
    version: Version


class FlowOut(Counted):
    id: str
    name: str
    enabled: bool
    plan: dict[str, Any]
    version: int
    created_at: datetime
    updated_at: datetime


class FlowPreview(BaseModel):
    lines: list[str]


class FlowList(BaseModel):
    items: list[FlowOut]
    next: str | None


class FlowUpdate(FlowInput):
    version: Version


class SettingsOut(BookSettings):
    version: int
    """The book's: it rises with every change of a rule, binding, flow or of these settings."""


class SettingsUpdate(BookSettings):
    version: Annotated[
        int, Field(ge=0, le=2**62, description="The version read before; 409 when it has risen.")
    ]


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


# --- rules ----------------------------------------------------------------------------------------


@router.get("/rules")
async def list_rules(
    request: Request,
    found: Account,
    _: Reader,
    cursor: Cursor = None,
    limit: Limit = 50,
    q: Annotated[str, Query(max_length=80, description="Looked for in names and words.")] = "",
) -> RuleList:
    """Newest first."""
    page = await _read(
        request,
        lambda tx: queries.list_rules(
            tx, found.id, before=_number(cursor), limit=limit, text=q.replace("\x00", "")
        ),
    )
    items = [_rule_out(view) for view in page.items]
    await _counted(request, found, "rule", items)
    return RuleList(items=items, next=_next(page))


@router.post("/rules", status_code=201, response_model=RuleOut)
async def create_rule(
    request: Request,
    body: RuleInput,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
) -> Response:
    rules = services(request).replies.rules

    async def work(tx: Tx) -> RuleOut:
        return _rule_out(await rules.create(tx, who.actor, found.id, body))

    return await _written(request, found, write(work, status=201, account_id=found.id))


@router.get("/rules/{rule_id}")
async def get_rule(request: Request, rule_id: Id, found: Account, _: Reader) -> RuleOut:
    rules = services(request).replies.rules
    out = _rule_out(await _read(request, lambda tx: rules.get(tx, found.id, int(rule_id))))
    await _counted(request, found, "rule", [out])
    return out


@router.put("/rules/{rule_id}", response_model=RuleOut)
async def update_rule(
    request: Request,
    rule_id: Id,
    body: RuleUpdate,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
) -> Response:
    """Replaces the whole rule."""
    rules = services(request).replies.rules

    async def work(tx: Tx) -> RuleOut:
        out = _rule_out(
            await rules.update(tx, who.actor, found.id, int(rule_id), body, version=body.version)
        )
        await add_hits(tx, request, found, "rule", [out])
        return out

    return await _written(request, found, write(work, account_id=found.id))


@router.delete("/rules/{rule_id}", status_code=204, response_model=None)
async def delete_rule(
    request: Request,
    rule_id: Id,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
    version: SeenVersion = None,
) -> Response:
    rules = services(request).replies.rules

    async def work(tx: Tx) -> None:
        await rules.delete(tx, who.actor, found.id, int(rule_id), version=version)

    return await _written(request, found, write(work, status=204, account_id=found.id))


# --- bindings -------------------------------------------------------------------------------------


@router.get("/bindings")
async def list_bindings(
    request: Request,
    found: Account,
    _: Reader,
    cursor: Cursor = None,
    limit: Limit = 50,
    on: BindingPlace | None = None,
) -> BindingList:
    """Newest first."""
    page = await _read(
        request,
        lambda tx: queries.list_bindings(
            tx, found.id, before=_number(cursor), limit=limit, on=on or ""
        ),
    )
    items = [_binding_out(view) for view in page.items]
    await _counted(request, found, "binding", items)
    return BindingList(items=items, next=_next(page))


@router.post("/bindings", status_code=201, response_model=BindingOut)
async def create_binding(
    request: Request,
    body: BindingInput,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
) -> Response:
    bindings = services(request).replies.bindings

    async def work(tx: Tx) -> BindingOut:
        return _binding_out(await bindings.create(tx, who.actor, found.id, body))

    return await _written(request, found, write(work, status=201, account_id=found.id))


@router.get("/bindings/{binding_id}")
async def get_binding(request: Request, binding_id: Id, found: Account, _: Reader) -> BindingOut:
    bindings = services(request).replies.bindings
    out = _binding_out(await _read(request, lambda tx: bindings.get(tx, found.id, int(binding_id))))
    await _counted(request, found, "binding", [out])
    return out


@router.put("/bindings/{binding_id}", response_model=BindingOut)
async def update_binding(
    request: Request,
    binding_id: Id,
    body: BindingUpdate,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
) -> Response:
    """Replaces the whole binding."""
    bindings = services(request).replies.bindings

    async def work(tx: Tx) -> BindingOut:
        out = _binding_out(
            await bindings.update(
                tx, who.actor, found.id, int(binding_id), body, version=body.version
            )
        )
        await add_hits(tx, request, found, "binding", [out])
        return out

    return await _written(request, found, write(work, account_id=found.id))


@router.delete("/bindings/{binding_id}", status_code=204, response_model=None)
async def delete_binding(
    request: Request,
    binding_id: Id,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
    version: SeenVersion = None,
) -> Response:
    bindings = services(request).replies.bindings

    async def work(tx: Tx) -> None:
        await bindings.delete(tx, who.actor, found.id, int(binding_id), version=version)

    return await _written(request, found, write(work, status=204, account_id=found.id))


# --- flows ----------------------------------------------------------------------------------------


@router.get("/flows")
async def list_flows(
    request: Request, found: Account, _: Reader, cursor: Cursor = None, limit: Limit = 50
) -> FlowList:
    """Newest first."""
    page = await _read(
        request,
        lambda tx: queries.list_flows(tx, found.id, before=_number(cursor), limit=limit),
    )
    items = [_flow_out(view) for view in page.items]
    await _counted(request, found, "flow", items)
    return FlowList(items=items, next=_next(page))


@router.post("/flows", status_code=201, response_model=FlowOut)
async def create_flow(
    request: Request,
    body: FlowInput,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
) -> Response:
    flows = services(request).replies.flows

    async def work(tx: Tx) -> FlowOut:
        return _flow_out(await flows.create(tx, who.actor, found.id, body))

    return await _written(request, found, write(work, status=201, account_id=found.id))


@router.get("/flows/{flow_id}")
async def get_flow(request: Request, flow_id: Id, found: Account, _: Reader) -> FlowOut:
    flows = services(request).replies.flows
    out = _flow_out(await _read(request, lambda tx: flows.get(tx, found.id, int(flow_id))))
    await _counted(request, found, "flow", [out])
    return out


@router.get("/flows/{flow_id}/preview")
async def preview_flow(request: Request, flow_id: Id, found: Account, _: Reader) -> FlowPreview:
    """The whole flow as lines for people, in Chinese: steps, what they take, where they lead."""
    runtime: Runtime = services(request)
    flows = runtime.replies.flows
    view: FlowView = await _read(request, lambda tx: flows.get(tx, found.id, int(flow_id)))
    plan = checked({**view.plan, "name": view.name})
    return FlowPreview(lines=preview(prepare(plan, runtime.actions)))


@router.put("/flows/{flow_id}", response_model=FlowOut)
async def update_flow(
    request: Request,
    flow_id: Id,
    body: FlowUpdate,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
) -> Response:
    """Replaces the whole flow."""
    flows = services(request).replies.flows

    async def work(tx: Tx) -> FlowOut:
        out = _flow_out(
            await flows.update(tx, who.actor, found.id, int(flow_id), body, version=body.version)
        )
        await add_hits(tx, request, found, "flow", [out])
        return out

    return await _written(request, found, write(work, account_id=found.id))


@router.delete("/flows/{flow_id}", status_code=204, response_model=None)
async def delete_flow(
    request: Request,
    flow_id: Id,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
    version: SeenVersion = None,
) -> Response:
    flows = services(request).replies.flows

    async def work(tx: Tx) -> None:
        await flows.delete(tx, who.actor, found.id, int(flow_id), version=version)

    return await _written(request, found, write(work, status=204, account_id=found.id))


# --- what holds for all ---------------------------------------------------------------------------


@router.get("/settings")
async def get_settings(request: Request, found: Account, _: Reader) -> SettingsOut:
    return _settings_out(await _read(request, lambda tx: queries.read_settings(tx, found.id)))


@router.put("/settings", response_model=SettingsOut)
async def update_settings(
    request: Request,
    body: SettingsUpdate,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
) -> Response:
    """Replaces all of them."""
    replies = services(request).replies
    settings = BookSettings.model_validate(body.model_dump(exclude={"version"}))

    async def work(tx: Tx) -> SettingsOut:
        return _settings_out(
            await replies.put_settings(tx, who.actor, found.id, settings, version=body.version)
        )

    return await _written(request, found, write(work, account_id=found.id))


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


# --- why ------------------------------------------------------------------------------------------


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
        view = await _read(request, lambda tx: find_trace(tx, found.id, key))
    if view is None:
        raise NotFound(what="delivery")
    return _trace_out(view)


# --- between the engine and JSON ------------------------------------------------------------------


async def _read(request: Request, work: Callable[[Tx], Any]) -> Any:
    return await services(request).database.read(work)


async def _counted(
    request: Request, found: LiveAccount, what: What, items: Sequence[Counted]
) -> None:
    await _read(request, lambda tx: add_hits(tx, request, found, what, items))


async def _written(request: Request, found: LiveAccount, answer: Awaitable[Response]) -> Response:
    """After the commit this process answers by the change at once; the others within two seconds."""
    response = await answer
    runtime: Runtime = services(request)
    await runtime.book.catch_up([found.id])
    return response


def _number(cursor: str | None) -> int | None:
    return None if cursor is None else int(cursor)


def _next(page: Page[Any]) -> str | None:
    return None if page.next_before is None else str(page.next_before)


def _rule_out(view: RuleView) -> RuleOut:
    return RuleOut.model_validate({**_fields(view), "words": list(view.words)})


def _binding_out(view: BindingView) -> BindingOut:
    return BindingOut.model_validate(_fields(view))


def _flow_out(view: FlowView) -> FlowOut:
    return FlowOut.model_validate(_fields(view))


def _conflict_out(found: Finding, lang: Language) -> ConflictOut:
    return ConflictOut(
        kind=found.kind,
        message=found.say(lang),
        rules=[RuleRef(id=str(rule.id), name=rule.name) for rule in found.rules],
        words=list(found.words),
        count=found.count,
    )


def _settings_out(view: SettingsView) -> SettingsOut:
    return SettingsOut.model_validate({**view.settings, "version": view.version})


def _fields(view: RuleView | BindingView | FlowView) -> dict[str, Any]:
    fields = {name: getattr(view, name) for name in type(view).__slots__}
    return {**fields, "id": str(view.id)}


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
