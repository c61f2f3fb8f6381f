"""Conversations run against an account's rules, as they are, were, or might become."""

import asyncio
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from app.accounts.registry import LiveAccount
from app.conversation.report import Report, report
from app.conversation.script import Script, read_script
from app.conversation.tester import Outcome, Player
from app.core.text import Language
from app.engines.replies.compiled import Broken
from app.engines.replies.standing import stored_of
from app.handlers.offline import Offline
from app.runtime import Runtime
from app.web.api.replies import Account, Reader
from app.web.deps import services
from app.web.language import language_of

router = APIRouter(prefix="/replies", tags=["replies"])

_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "YAML or JSON: a list of up to 200 conversations of up to 100 steps, or "
        "`{conversations: [...], book: {guanxi: 1, ...}}` with the rules to test.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["conversations"],
                    "properties": {
                        "conversations": {"type": "array", "items": {"type": "object"}},
                        "book": {"type": "object"},
                    },
                }
            },
        },
    }
}


@router.post("/test", openapi_extra=_FILE)
async def run_conversations(
    request: Request,
    found: Account,
    _: Reader,
    version: Annotated[
        int | None,
        Query(
            ge=0,
            le=2**53,
            description="The rules as they were in this version, whatever `book` the file brings.",
        ),
    ] = None,
    against: Annotated[
        int | None,
        Query(ge=0, le=2**53, description="Also by this version; `changes` lists what differs."),
    ] = None,
) -> Report:
    """Runs conversations over the real handlers. Nothing is written or sent; handlers that answer apart
    are named and not run. Without `version` or `book`: the rules as they are.
    """
    raw = await request.body()
    script = await asyncio.to_thread(read_script, raw)
    runtime: Runtime = services(request)
    tester, broken = await _tester(runtime, found, script, version)
    other = None
    if against is not None:
        other = (await _of_version(runtime, found, against)).player
    now = runtime.clock.now()
    lang = language_of(request.headers)
    return await asyncio.to_thread(_run, script, tester, other, broken, now, lang)


async def _tester(
    runtime: Runtime, found: LiveAccount, script: Script, version: int | None
) -> tuple[Player, tuple[Broken, ...]]:
    if version is not None:
        offline = await _of_version(runtime, found, version)
        return offline.player, offline.broken
    if script.book is not None:
        book = await asyncio.to_thread(runtime.imports.read_plain, script.book)
        offline = await asyncio.to_thread(runtime.offline, stored_of(book), found.view)
        return offline.player, offline.broken
    await runtime.book.refresh([found.id])
    current = runtime.book.current(found.id)
    return Player(runtime.routing, runtime.book, found.view), current.broken


async def _of_version(runtime: Runtime, found: LiveAccount, version: int) -> Offline:
    book = await runtime.imports.book_at(found.id, version)
    return await asyncio.to_thread(runtime.offline, stored_of(book), found.view)


def _run(
    script: Script,
    tester: Player,
    other: Player | None,
    broken: tuple[Broken, ...],
    now: datetime,
    lang: Language,
) -> Report:
    """Up to 20,000 steps, twice: in a thread, so that deliveries are answered meanwhile."""

    def outcomes(by: Player) -> list[Outcome]:
        return [by.run(conversation, now) for conversation in script.conversations]

    return report(outcomes(tester), None if other is None else outcomes(other), broken, lang)
