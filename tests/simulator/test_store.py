"""What survives a restart, and what a stop leaves behind."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx

from app.core.clock import FakeClock
from app.simulator.app import create_simulator, running, standalone
from tests.simulator.bot import Mailbox, Seen, text_reply
from tests.simulator.conftest import PATIENT, Sim


def client(app: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://sim.test", trust_env=False)


async def test_accounts_followers_and_chats_stay(tmp_path: Path, mailbox: Mailbox) -> None:
    store, clock = tmp_path / "deep" / "sim.db", FakeClock()
    first = create_simulator(store=store, product_url="", clock=clock, timing=PATIENT)
    async with running(first), client(standalone(first)) as http:
        sim = Sim(http, clock)
        account = await sim.account(mailbox)
        phone = await sim.phone(account, following=False)
        await phone.do("follow", scene="poster")
        await phone.do("text", text="早")
        await sim.api("POST", "time", {"advance_seconds": 60})
        await sim.api("PUT", "faults", {"faults": [{"kind": "slow", "ms": 1}]})
        screen = await phone.screen()
        deliveries = await sim.api("GET", "deliveries")
    second = create_simulator(store=store, product_url="", clock=clock, timing=PATIENT)
    async with running(second), client(standalone(second)) as http:
        phone.sim = Sim(http, clock)
        assert await phone.screen() == screen
        assert await phone.sim.api("GET", "deliveries") == deliveries
        assert (await phone.sim.api("GET", "accounts"))["accounts"] == [account]
        assert (await phone.sim.api("GET", "time"))["offset_seconds"] == 60
        assert len((await phone.sim.api("GET", "faults"))["faults"]) == 1
        known = {delivery["key"] for delivery in deliveries["deliveries"]}
        assert (await phone.do("text", text="又来"))["key"] not in known


async def test_a_stop_breaks_deliveries_off_and_says_so(tmp_path: Path, mailbox: Mailbox) -> None:
    store, clock = tmp_path / "sim.db", FakeClock()

    arrived = threading.Event()

    def slow(seen: Seen) -> str:
        arrived.set()
        mailbox.hold()
        return text_reply(seen)

    mailbox.answer = slow
    first = create_simulator(store=store, product_url="", clock=clock, timing=PATIENT)
    async with running(first), client(standalone(first)) as http:
        sim = Sim(http, clock)
        phone = await sim.phone(await sim.account(mailbox))
        sent = await sim.api("POST", f"{phone.path}/actions", {"do": "text", "text": "早"})
        assert await asyncio.to_thread(arrived.wait, 20)
    second = create_simulator(store=store, product_url="", clock=clock)
    async with running(second), client(standalone(second)) as http:
        found = (await http.get(f"/simulator/api/deliveries/{sent['delivery']}")).json()
        assert (found["state"], found["reason"]) == ("interrupted", "the simulator was stopped")


async def test_deleting_takes_everything_along(sim: Sim, mailbox: Mailbox) -> None:
    account = await sim.account(mailbox)
    phone, other = await sim.phone(account), await sim.phone(account)
    await phone.do("text", text="早")
    await other.do("text", text="早")
    await sim.api("DELETE", phone.path)
    assert (await sim.raw("GET", f"{phone.path}/screen")).status_code == 404
    assert len((await sim.api("GET", "deliveries"))["deliveries"]) == 1
    await sim.api("DELETE", f"accounts/{account['appid']}")
    assert (await sim.api("GET", "deliveries"))["deliveries"] == []
    assert (await sim.api("GET", "accounts"))["accounts"] == []


async def test_lists_can_be_narrowed(sim: Sim, mailbox: Mailbox) -> None:
    account = await sim.account(mailbox)
    phone, other = await sim.phone(account), await sim.phone(account)
    for number in range(3):
        await phone.do("text", text=str(number))
    await other.do("text", text="x")
    of_one = await sim.api("GET", "deliveries", appid=account["appid"], openid=phone.openid)
    assert len(of_one["deliveries"]) == 3
    newest = await sim.api("GET", "deliveries", limit=1)
    assert newest["deliveries"][0]["openid"] == other.openid
    assert len((await sim.api("GET", f"{phone.path}/screen", limit=2))["items"]) == 2


async def test_a_short_list_of_followers_has_the_newest(sim: Sim, mailbox: Mailbox) -> None:
    account = await sim.account(mailbox)
    phones = [await sim.phone(account, following=False) for _ in range(4)]
    path = f"accounts/{account['appid']}/followers"
    listed = (await sim.api("GET", path, limit=2))["followers"]
    assert [f["openid"] for f in listed] == [phone.openid for phone in phones[-2:]]
    assert len((await sim.api("GET", path))["followers"]) == 4


async def test_names_are_taken_once(sim: Sim) -> None:
    account = await sim.account(appid="wx00000000000000aa")
    assert (await sim.raw("POST", "accounts", {"appid": account["appid"]})).status_code == 409
    phone = await sim.phone(account)
    path = f"accounts/{account['appid']}/followers"
    assert (await sim.raw("POST", path, {"openid": phone.openid})).status_code == 409
    renamed = await sim.api("PATCH", phone.path, {"name": "阿明", "tags": [100]})
    assert (renamed["name"], renamed["tags"]) == ("阿明", [100])


async def test_settings_are_checked(sim: Sim) -> None:
    for fields in (
        {"token": "no spaces"},
        {"aes_key": "short"},
        {"previous_aes_key": "short"},
        {"url": "ftp://x"},
        {"attempts": 9},
        {"original_id": "wx_1"},
        {"unknown": 1},
    ):
        answer = await sim.raw("POST", "accounts", fields)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "INVALID"), fields
