"""The stream of changes, and the simulator as a process of its own."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from app.simulator.live import Hub
from tests.simulator.bot import Mailbox, free_port


async def test_changes_reach_every_listener() -> None:
    hub = Hub()
    streams = [hub.listen() for _ in range(2)]
    for stream in streams:
        assert await anext(stream) == b"retry: 1500\n\n"
    hub.tell("item", openid="o")
    for stream in streams:
        assert json.loads((await anext(stream)).removeprefix(b"data: ")) == {
            "type": "item",
            "openid": "o",
        }
    hub.close()
    for stream in streams:
        assert [frame async for frame in stream] == []


async def test_a_slow_listener_is_told_to_load_again() -> None:
    hub = Hub()
    stream = hub.listen()
    await anext(stream)
    for number in range(1001):
        hub.tell("item", number=number)
    assert b"resync" in await anext(stream)
    hub.tell("item", number=2000)
    assert b"2000" in await anext(stream)
    hub.close()


@pytest.fixture
def process() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    program = "import typer; from app.cli.simulator import simulator; typer.run(simulator)"
    started = subprocess.Popen(
        [sys.executable, "-c", program, "--port", str(port)], stdout=subprocess.PIPE
    )
    base = f"http://127.0.0.1:{port}/simulator"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{base}/api/time", trust_env=False)
            break
        except httpx.ConnectError:
            time.sleep(0.05)
    try:
        yield started, base
    finally:
        started.kill()
        started.communicate()


async def test_alone_it_serves_streams_and_stops(
    process: tuple[subprocess.Popen[bytes], str], mailbox: Mailbox
) -> None:
    started, base = process
    async with httpx.AsyncClient(base_url=base, trust_env=False, timeout=10) as http:
        account = (
            await http.post("/api/accounts", json={"mode": "plain", "url": mailbox.url})
        ).json()
        path = f"/api/accounts/{account['appid']}/followers"
        follower = (await http.post(path, json={"following": True})).json()
        async with http.stream("GET", "/api/stream") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "retry: 1500"
            await http.post(
                f"{path}/{follower['openid']}/actions", json={"do": "text", "text": "早"}
            )
            seen = []
            async for line in lines:
                if line.startswith("data: "):
                    change = json.loads(line.removeprefix("data: "))
                    seen.append(change["type"])
                    if change["type"] == "item" and change["item"]["from"] == "account":
                        break
            assert {"item", "delivery", "follower"} <= set(seen)
            start = time.monotonic()
            started.send_signal(signal.SIGTERM)
            with suppress(httpx.RemoteProtocolError):  # ended by the stop
                async for _ in lines:
                    pass
    assert await asyncio.to_thread(started.wait, 10) in (0, -signal.SIGTERM)
    assert time.monotonic() - start < 2
