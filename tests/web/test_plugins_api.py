"""`/api/v1/plugins`: how plugins are, and their switch."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from app.core.clock import FakeClock
from app.core.settings import Settings
from app.main import create_app
from app.plugins import Plugin
from app.runtime import Extensions, Runtime
from tests.plugins.weather import Made
from tests.web.conftest import Make, MakeToken

URL = "/api/v1/plugins"


@pytest.fixture
async def app(settings: Settings, clock: FakeClock) -> AsyncIterator[FastAPI]:
    plugins = [Made().plugin(), Plugin(name="future", api=7)]
    made = create_app(settings, clock, Extensions(plugins=plugins, find_plugins=False))
    async with made.router.lifespan_context(made):
        yield made


async def test_loaded_ones_and_those_left_out(client: httpx.AsyncClient, bearer: MakeToken) -> None:
    answer = await client.get(URL, headers=await bearer("admin"))
    assert answer.status_code == 200
    weather, future = answer.json()["items"]
    assert (weather["name"], weather["version"], weather["state"]) == ("weather", "1.2.3", "on")
    assert "weather.today" in weather["handlers"]
    assert (weather["actions"], weather["effects"]) == (["weather.tell"], ["weather.note"])
    assert weather["jobs"] == ["plugin.weather.refresh"]
    assert (future["name"], future["state"]) == ("future", "left_out")
    assert "interface 7" in future["problem"]


async def test_switching(client: httpx.AsyncClient, bearer: MakeToken, runtime: Runtime) -> None:
    headers = await bearer("owner")
    off = await client.put(f"{URL}/weather", headers=headers, json={"enabled": False})
    assert (off.status_code, off.json()["state"]) == (200, "off")
    assert "token:" in off.json()["problem"]
    await runtime.plugins.refresh()
    assert "weather is switched off" in (runtime.plugins.problem() or "")
    ready = (await client.get("/readyz")).json()
    assert ready["parts"]["plugins"]["ok"] is False
    on = await client.put(f"{URL}/weather", headers=headers, json={"enabled": True})
    assert on.json()["state"] == "on"
    (weather, _) = (await client.get(URL, headers=headers)).json()["items"]
    assert weather["problem"] is None


async def test_who_may(client: httpx.AsyncClient, bearer: MakeToken, account: Make) -> None:

    async def put(headers: dict[str, str]) -> httpx.Response:
        return await client.put(f"{URL}/weather", headers=headers, json={"enabled": False})

    reader = await bearer("marketer")
    assert (await client.get(URL, headers=reader)).status_code == 403
    assert (await put(reader)).status_code == 403
    narrow = await bearer("owner", [await account()])
    refused = await put(narrow)
    assert refused.status_code == 403, "one account's owner does not switch what serves all"


async def test_an_unknown_one(client: httpx.AsyncClient, bearer: MakeToken) -> None:
    answer = await client.put(
        f"{URL}/weatherman", headers=await bearer("admin"), json={"enabled": True}
    )
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NO_SUCH_PLUGIN"
