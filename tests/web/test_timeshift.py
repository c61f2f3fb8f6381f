"""Moving the product's clock: in the demo only, from this machine only."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest

from app.core.clock import SystemClock
from app.core.ids import Ids, moment_of
from app.core.settings import Settings
from app.main import Server, create_app

HERE = "127.0.0.1"


@asynccontextmanager
async def opened(settings: Settings, clock: SystemClock) -> AsyncIterator[Server]:
    app = create_app(settings, clock)
    async with app.router.lifespan_context(app):
        yield app


async def move(app: Server, *, client: str = HERE, **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://demo") as http:
        return await http.post("/api/v1/demo/time", json={"offset_seconds": 86400}, headers=headers)


@pytest.fixture
def demo_settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"demo": True, "simulator": True})


async def test_time_is_moved_and_real_time_stays(demo_settings: Settings) -> None:
    clock = SystemClock()
    async with opened(demo_settings, clock) as app:
        answer = await move(app)
        assert answer.status_code == 200, answer.text
        assert timedelta(hours=23) < clock.now() - clock.real() < timedelta(hours=25)


@pytest.mark.parametrize("client", ["192.168.1.5", "203.0.113.9", "testclient"])
async def test_nobody_else_moves_it(demo_settings: Settings, client: str) -> None:
    clock = SystemClock()
    async with opened(demo_settings, clock) as app:
        assert (await move(app, client=client)).status_code == 403
    assert clock.offset == timedelta(0)


@pytest.mark.parametrize(
    ("header", "value"), [("Sec-Fetch-Site", "cross-site"), ("X-Forwarded-For", "203.0.113.9")]
)
async def test_neither_does_another_page_nor_a_proxy(
    demo_settings: Settings, header: str, value: str
) -> None:
    async with opened(demo_settings, SystemClock()) as app:
        assert (await move(app, **{header: value})).status_code == 403


async def test_outside_the_demo_there_is_no_such_call(settings: Settings) -> None:
    async with opened(settings, SystemClock()) as app:
        assert (await move(app)).status_code == 404


async def test_the_simulator_is_there_only_when_it_is_switched_on(
    settings: Settings, demo_settings: Settings
) -> None:
    async def status(app: Server) -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://demo") as http:
            return (await http.get("/simulator/")).status_code

    async with opened(demo_settings, SystemClock()) as app:
        assert await status(app) == 200
    async with opened(settings, SystemClock()) as app:
        assert await status(app) == 404


def test_ids_do_not_follow_moved_time() -> None:
    clock = SystemClock()
    ids = Ids(clock, 1)
    clock.offset = timedelta(days=365)
    ahead = ids.new()
    clock.offset = timedelta(0)
    assert ids.new() > ahead
    assert moment_of(ahead) - clock.real() < timedelta(seconds=1)
