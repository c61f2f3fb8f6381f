from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from app.core.clock import FakeClock
from app.simulator.app import create_simulator, running, standalone
from app.simulator.sender import Timing
from tests.simulator.bot import Bot, Mailbox, free_port, serving

PATIENT = Timing(deadline=20, spacing=0.05)
"""For tests that are not about time: a busy machine changes nothing."""
HASTY = Timing(deadline=0.8, spacing=0.85)
"""For tests of the deadline: `@pytest.mark.parametrize("timing", [HASTY])`."""


@pytest.fixture(scope="session")
def bot() -> Iterator[Bot]:
    port = free_port()
    bot = Bot(f"http://127.0.0.1:{port}")
    with serving(bot.app, port):
        yield bot


@pytest.fixture
def mailbox(bot: Bot) -> Iterator[Mailbox]:
    mailbox = bot.mailbox()
    yield mailbox
    mailbox.release.set()


@pytest.fixture
def timing() -> Timing:
    return PATIENT


@dataclass
class Sim:
    """The simulator's API, with its clock."""

    http: httpx.AsyncClient
    clock: FakeClock

    async def api(self, method: str, path: str, json: Any = None, **query: Any) -> Any:
        answer = await self.raw(method, path, json, **query)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def raw(self, method: str, path: str, json: Any = None, **query: Any) -> httpx.Response:
        return await self.http.request(method, f"/simulator/api/{path}", json=json, params=query)

    async def account(self, mailbox: Mailbox | None = None, **fields: Any) -> dict[str, Any]:
        fields = {"mode": "plain", **fields}
        if mailbox:
            fields["url"] = mailbox.url
        account: dict[str, Any] = await self.api("POST", "accounts", fields)
        return account

    async def phone(
        self, account: dict[str, Any], *, following: bool = True, **fields: Any
    ) -> "PhoneClient":
        path = f"accounts/{account['appid']}/followers"
        follower = await self.api("POST", path, {"following": following, **fields})
        return PhoneClient(self, f"{path}/{follower['openid']}", follower["openid"])


@dataclass
class PhoneClient:
    sim: Sim
    path: str
    openid: str

    async def do(self, do: str, **fields: Any) -> dict[str, Any]:
        """The first delivery, settled."""
        answer = await self.sim.api("POST", f"{self.path}/actions", {"do": do, **fields}, wait=1)
        return await self.delivery(answer["delivery"]) if answer["delivery"] else answer

    async def delivery(self, delivery_id: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.sim.api("GET", f"deliveries/{delivery_id}", wait=1)
        return found

    async def refused(self, do: str, **fields: Any) -> str:
        answer = await self.sim.raw("POST", f"{self.path}/actions", {"do": do, **fields})
        assert answer.status_code >= 400
        code: str = answer.json()["error"]["code"]
        return code

    async def screen(self) -> dict[str, Any]:
        shown: dict[str, Any] = await self.sim.api("GET", f"{self.path}/screen")
        return shown

    async def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.screen())["items"]
        return items


@pytest.fixture
async def sim(timing: Timing) -> AsyncIterator[Sim]:
    clock = FakeClock()
    app = create_simulator(store=None, product_url="", clock=clock, timing=timing)
    async with (
        running(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(standalone(app)),
            base_url="http://sim.test",
            trust_env=False,
        ) as http,
    ):
        yield Sim(http, clock)


@dataclass
class Platform:
    """Calls of the platform's API for one account."""

    sim: Sim
    account: dict[str, Any]
    token: str = ""

    async def call(
        self, method: str, name: str, json: Any = None, *, token: str | None = None, **query: Any
    ) -> dict[str, Any]:
        answer = await self.raw(method, name, json, token=token, **query)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        data: dict[str, Any] = answer.json()
        return data

    async def raw(
        self, method: str, name: str, json: Any = None, *, token: str | None = None, **query: Any
    ) -> httpx.Response:
        if token is None:
            token = self.token
        if token:
            query = {"access_token": token, **query}
        content = json if isinstance(json, bytes) else None
        return await self.sim.http.request(
            method,
            f"/simulator/platform/cgi-bin/{name}",
            json=None if content else json,
            content=content,
            params=query,
        )

    async def get_token(self) -> str:
        answer = await self.call(
            "POST",
            "stable_token",
            {
                "grant_type": "client_credential",
                "appid": self.account["appid"],
                "secret": self.account["secret"],
            },
            token="",
        )
        value: str = answer["access_token"]
        return value


@pytest.fixture
def platform(sim: Sim) -> Callable[..., Awaitable[Platform]]:
    """Makes an account, unless one is given, and signs in for it."""

    async def make(account: dict[str, Any] | None = None, **fields: Any) -> Platform:
        made = Platform(sim, account or await sim.account(**fields))
        made.token = await made.get_token()
        return made

    return make
