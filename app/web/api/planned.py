"""A call that shows a plan, or carries it out once."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request
from starlette.responses import Response

from app.accounts.registry import LiveAccount
from app.core.errors import AppError
from app.db.audit import Actor
from app.db.tx import Tx
from app.engines.replies.book_plan import Plan
from app.engines.replies.history import Source
from app.engines.replies.imports import planned_and_done
from app.runtime import Runtime
from app.web.answers import json_response
from app.web.api.plans import ChangeOut, PlanOut, plan_out, shown
from app.web.deps import Write, services


@dataclass(frozen=True, slots=True)
class _Prepared:
    plan: Plan
    changes: list[ChangeOut]


@dataclass(frozen=True, slots=True)
class Planned:
    """What one call is about."""

    request: Request
    found: LiveAccount
    actor: Actor
    write: Write
    source: Source
    note: str

    async def show(self, plan: Callable[[], Awaitable[Plan]]) -> Response:
        prepared = await _prepare(plan)
        version = prepared.plan.base
        return json_response(plan_out(prepared.plan, prepared.changes, version, applied=False))

    async def do(self, plan: Callable[[], Awaitable[Plan]], *, again: bool) -> Response:
        """Plans and applies. With `again`, anew when somebody changes the book in between."""

        async def prepare() -> _Prepared | AppError:
            """A refusal is raised in the transaction, after the look for a stored answer: a repeat
            of a call that was done gets its answer, though its plan would not fit any more."""
            try:
                return await _prepare(plan)
            except AppError as error:
                return error

        response = await planned_and_done(prepare, self._write, again=again)
        runtime: Runtime = services(self.request)
        await runtime.book.catch_up([self.found.id])
        return response

    async def _write(self, prepared: _Prepared | AppError) -> Response:
        imports = services(self.request).imports

        async def work(tx: Tx) -> PlanOut:
            if isinstance(prepared, AppError):
                raise prepared
            version = await imports.apply(
                tx, self.actor, self.found.id, prepared.plan, source=self.source, note=self.note
            )
            return plan_out(prepared.plan, prepared.changes, version, applied=True)

        return await self.write(work, account_id=self.found.id)


async def _prepare(plan: Callable[[], Awaitable[Plan]]) -> _Prepared:
    made = await plan()
    return _Prepared(made, await asyncio.to_thread(shown, made.changes))
