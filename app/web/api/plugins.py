"""The plugins of the installation: how they are, and their switch."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from app.core.errors import NotAllowed
from app.db.tx import Tx
from app.plugins.finding import LeftOut, Loaded
from app.plugins.plugin import task_name
from app.plugins.records import Record, read_records
from app.runtime import Runtime
from app.web.deps import Caller, Write, needs, services, writes

router = APIRouter(prefix="/plugins", tags=["plugins"])
Name = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{1,31}$")]


class PluginOut(BaseModel):
    name: str
    version: str
    source: str
    """The entry point or setting it came from."""
    state: Literal["on", "off", "left_out"]
    problem: str | None
    """Why it is off, or was left out when this process started."""
    failures: int
    """Since it was last switched on, of all processes."""
    blocks: int
    """How many processes it took down by blocking them, since then."""
    last_failure: str | None
    last_failure_at: datetime | None
    handlers: list[str]
    actions: list[str]
    effects: list[str]
    jobs: list[str]


class PluginList(BaseModel):
    items: list[PluginOut]


class Switch(BaseModel):
    model_config = ConfigDict(extra="forbid")

    enabled: bool


@router.get("", dependencies=[needs("system.read")])
async def list_plugins(request: Request) -> PluginList:
    """Those loaded by the answering process, in the order they are asked, then those it left out."""
    runtime = services(request)
    records = await runtime.database.read(read_records)
    return PluginList(items=_all(runtime, records))


@router.put("/{name}", response_model=PluginOut)
async def switch_plugin(
    name: Name,
    body: Switch,
    request: Request,
    who: Annotated[Caller, needs("plugins.write")],
    write: Annotated[Write, Depends(writes)],
) -> Response:
    """Switches a plugin on or off, in all processes within two seconds. Switched on, its failures are
    counted anew."""
    if who.accounts is not None:  # a plugin serves every account
        raise NotAllowed(permission="plugins.write")
    runtime = services(request)

    async def work(tx: Tx) -> PluginOut:
        record = await runtime.switchboard.switch(
            tx, name, on=body.enabled, actor=who.actor, loaded=runtime.plugins.loaded
        )
        tx.after_commit(runtime.plugins.wake)
        found = runtime.plugins.loaded.get(name)
        return _loaded(found, record) if found is not None else _recorded(record)

    return await write(work)


def _all(runtime: Runtime, records: dict[str, Record]) -> list[PluginOut]:
    plugins = runtime.plugins
    loaded = [_loaded(one, records.get(name, Record(name))) for name, one in plugins.loaded.items()]
    return loaded + [_left_out(one) for one in plugins.left_out]


def _loaded(one: Loaded, record: Record) -> PluginOut:
    plugin = one.plugin
    return _told(
        record,
        version=plugin.version,
        source=one.source,
        handlers=[route.name for router in plugin.routers for route in router.routes],
        actions=[action.name for action in plugin.actions],
        effects=[kind.kind for kind in plugin.kinds],
        jobs=[task_name(plugin.name, job.name) for job in plugin.jobs],
    )


def _recorded(record: Record) -> PluginOut:
    """One that the table knows but this process does not have."""
    return _told(record)


def _told(
    record: Record,
    *,
    version: str = "",
    source: str = "",
    handlers: list[str] | None = None,
    actions: list[str] | None = None,
    effects: list[str] | None = None,
    jobs: list[str] | None = None,
) -> PluginOut:
    return PluginOut(
        name=record.name,
        version=version,
        source=source,
        state="off" if record.off else "on",
        problem=record.reason if record.off else None,
        failures=record.failures,
        blocks=record.blocks,
        last_failure=record.last_failure,
        last_failure_at=record.last_failure_at,
        handlers=handlers or [],
        actions=actions or [],
        effects=effects or [],
        jobs=jobs or [],
    )


def _left_out(one: LeftOut) -> PluginOut:
    left = _told(Record(one.name), source=one.source)
    return left.model_copy(update={"state": "left_out", "problem": one.problem})
