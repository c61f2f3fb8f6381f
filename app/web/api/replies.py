"""Rules, bindings and flows: what the shop answers to what; and what holds for all of them."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
)
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from app.accounts.registry import LiveAccount
from app.db.tx import Tx
from app.engines.replies import queries
from app.engines.replies.book_settings import BookSettings
from app.engines.replies.figures import What
from app.engines.replies.flow_preview import preview
from app.engines.replies.flows import prepare
from app.engines.replies.inputs import (
    BindingInput,
    BindingPlace,
    FlowInput,
    RuleInput,
)
from app.engines.replies.matcher import RuleKind
from app.engines.replies.plan_checks import checked
from app.engines.replies.queries import BindingView, FlowView, Page, RuleView, SettingsView
from app.runtime import Runtime
from app.web.api.tallies import Counted, add_hits
from app.web.deps import Caller, Write, account, needs, services, writes

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


def _settings_out(view: SettingsView) -> SettingsOut:
    return SettingsOut.model_validate({**view.settings, "version": view.version})


def _fields(view: RuleView | BindingView | FlowView) -> dict[str, Any]:
    fields = {name: getattr(view, name) for name in type(view).__slots__}
    return {**fields, "id": str(view.id)}
