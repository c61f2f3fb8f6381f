"""Is it alive, is it ready, how is it doing; and the platform's proof of a domain.

`/healthz` asks nothing, so that a database that is away never gets a process restarted. `/readyz` is
red while deliveries or work would get nowhere. What is wrong in words, and `/metrics`, are for the
operator: by token, or from loopback and private addresses.
"""

import asyncio
import hmac
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from sqlalchemy import select, text
from starlette.responses import PlainTextResponse, Response

from app.core.clock import to_millis
from app.core.errors import NotAllowed, NotFound
from app.core.settings import Settings
from app.db.tx import Tx
from app.db.version import wanted
from app.delivery.models import Job
from app.runtime import Runtime
from app.web.answers import json_response
from app.web.deps import services
from app.web.middleware import Proxies, is_private

PATIENCE_SECONDS = 2.0
OVERDUE = timedelta(minutes=5)
"""A job may wait this long for another of its follower; longer means that nobody works."""
PROOF_BYTES = 1024
_PROOF = re.compile(r"MP_verify_[A-Za-z0-9]{1,64}\.txt")
_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, slots=True)
class Part:
    problem: str | None
    red: bool = True
    """Whether the problem makes the whole process unready."""


router = APIRouter(include_in_schema=False)


@router.get("/healthz")
async def healthz() -> Response:
    return PlainTextResponse("ok", headers=_NO_STORE)


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 or 503, with every part by name; an account or plugin that cannot be used is told but not red."""
    parts = await look(services(request))
    ready = not any(part.problem and part.red for part in parts.values())
    insider = _is_insider(request)
    shown = {
        name: {"ok": part.problem is None} | ({"problem": part.problem} if insider else {})
        for name, part in parts.items()
    }
    body = {"ready": ready, "parts": shown}
    return json_response(body, status=200 if ready else 503, headers=_NO_STORE)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus. Of several serving processes the figures of all."""
    if not _is_insider(request):
        raise NotAllowed(permission="metrics")
    registry = REGISTRY
    if services(request).settings.metrics_dir:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    figures = await asyncio.to_thread(generate_latest, registry)
    return Response(figures, headers=_NO_STORE, media_type=CONTENT_TYPE_LATEST)


@router.get("/{name:path}.txt")
async def domain_proof(request: Request, name: str) -> Response:
    """`/MP_verify_….txt`, as the platform asks for it, from `verify/` in the data folder."""
    file = f"{name}.txt"
    path = services(request).settings.data_dir / "verify" / file
    content = await asyncio.to_thread(_read, path) if _PROOF.fullmatch(file) else None
    if content is None:
        raise NotFound(what=file[:80])
    return PlainTextResponse(content)


def _read(path: Path) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(PROOF_BYTES)
    except OSError:
        return None


async def look(runtime: Runtime) -> dict[str, Part]:
    """Every part of the process and what is wrong with it.

    Work that nobody does makes only a process red that should do it.
    """
    database, migrations, worker = await _database(runtime)
    broken = runtime.accounts.problems.values()
    return {
        "database": Part(database),
        "migrations": Part(migrations),
        "writer": Part(runtime.writer.problem()),
        "worker": Part(worker, red=runtime.settings.role != "web"),
        **{name: Part(check()) for name, check in runtime.checks.items()},
        "accounts": Part("; ".join(str(problem) for problem in broken) or None, red=False),
        "plugins": Part(runtime.plugins.problem(), red=False),
    }


async def _database(runtime: Runtime) -> tuple[str | None, str | None, str | None]:
    """Problems of the database itself, its version, and the work in it."""
    long_ago = to_millis(runtime.clock.now() - OVERDUE)

    async def ask(tx: Tx) -> tuple[object, object]:
        version = await tx.value(text("SELECT version_num FROM alembic_version"))
        overdue = select(Job.id).where(Job.state == "ready", Job.run_at < long_ago).limit(1)
        return version, await tx.value(overdue)

    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            version, overdue = await runtime.database.read(ask)
    except Exception as error:  # noqa: BLE001  # whatever it is, the database does not answer
        return f"{type(error).__name__}: {error}"[:300], "unknown", "unknown"
    migrations = worker = None
    if version != wanted():
        migrations = f"at {version}, the program needs {wanted()}; run python -m app migrate"
    if overdue is not None:
        worker = f"job {overdue} is due for over {OVERDUE}; is python -m app work running?"
    return None, migrations, worker


def _is_insider(request: Request) -> bool:
    """With the metrics token; without one set, a client on loopback or a private network.

    An address that an unknown proxy stands in for is not believed.
    """
    settings = services(request).settings
    token = settings.metrics_token.get_secret_value()
    if token:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), token.encode())
    client = request.client.host if request.client else ""
    return is_private(client) and not _behind_unknown_proxy(request, settings)


def _behind_unknown_proxy(request: Request, settings: Settings) -> bool:
    return "x-forwarded-for" in request.headers and not Proxies(settings.trusted_proxies).trusts(
        getattr(request.state, "peer", "")
    )
