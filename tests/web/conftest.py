"""The application over ASGI, with its runtime open, on this test's database."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.core.clock import FakeClock
from app.core.ids import AccountId
from app.core.settings import Settings
from app.db.audit import CLI
from app.main import create_app
from app.runtime import Runtime
from tests.factories.accounts import make_account

MakeToken = Callable[..., Awaitable[dict[str, str]]]
Make = Callable[..., Awaitable[AccountId]]


@pytest.fixture
async def app(settings: Settings, clock: FakeClock) -> AsyncIterator[FastAPI]:
    made = create_app(settings, clock)
    async with made.router.lifespan_context(made):
        yield made


@pytest.fixture
def runtime(app: FastAPI) -> Runtime:
    found: Runtime = app.state.runtime
    return found


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


@pytest.fixture
def bearer(runtime: Runtime) -> MakeToken:
    """Makes a token and gives the header that carries it."""

    async def make(role: str = "admin", accounts: list[AccountId] | None = None) -> dict[str, str]:
        made = await runtime.database.transaction(
            lambda tx: runtime.token_service.make(
                tx, name="test", role=role, accounts=accounts, actor=CLI
            )
        )
        return {"Authorization": f"Bearer {made.secret}"}

    return make


@pytest.fixture
def account(runtime: Runtime) -> Make:
    """Makes an account that the registry knows."""

    async def make(slug: str = "cafe", **changes: Any) -> AccountId:
        changes.setdefault("appid", f"wx{abs(hash(slug)) % 10**16:016}")
        made = await make_account(runtime.database, runtime.account_service, slug, **changes)
        await runtime.accounts.refresh()
        return made

    return make
