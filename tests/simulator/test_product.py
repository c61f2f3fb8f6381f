"""What the simulator asks the product: traces, and to move its clock."""

import json

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from app.core.clock import FakeClock
from app.simulator.app import create_simulator, running, standalone
from tests.simulator.bot import Mailbox, free_port, serving
from tests.simulator.conftest import PATIENT, Sim


class Product:
    """The two routes asked for; remembers what came."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.offsets: list[float] = []
        self.app = Starlette(
            routes=[
                Route("/api/v1/replies/traces/{key}", self.trace),
                Route("/time", self.time, methods=["POST"]),
            ]
        )

    async def trace(self, request: Request) -> Response:
        headers = request.headers
        key = request.path_params["key"]
        self.asked.append((key, headers["authorization"], headers["x-guanxi-account"]))
        return JSONResponse({"rule": "早安"})

    async def time(self, request: Request) -> Response:
        self.offsets.append(json.loads(await request.body())["offset_seconds"])
        return Response()


async def test_trace_and_time_are_passed_on(mailbox: Mailbox) -> None:
    product, clock = Product(), FakeClock()
    with serving(product.app, free_port()) as url:
        app = create_simulator(
            store=None,
            product_url=url,
            trace_token="read-only",
            product_time_url=f"{url}/time",
            clock=clock,
            timing=PATIENT,
        )
        async with (
            running(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(standalone(app)),
                base_url="http://sim.test",
                trust_env=False,
            ) as http,
        ):
            sim = Sim(http, clock)
            phone = await sim.phone(await sim.account(mailbox))
            delivery = await phone.do("text", text="早")
            trace = await sim.api("GET", f"deliveries/{delivery['id']}/trace")
            assert trace == {"key": delivery["key"], "trace": {"rule": "早安"}}
            slug = mailbox.url.rpartition("/")[2]
            assert product.asked == [(delivery["key"], "Bearer read-only", slug)]
            await sim.api("POST", "time", {"advance_seconds": 60})
            moved = await sim.api("POST", "time", {"advance_seconds": 30})
            assert (moved["offset_seconds"], moved["product"]) == (90, "moved")
            assert product.offsets == [60, 90]


@pytest.mark.parametrize(
    ("url", "why"),
    [("", "no product URL"), ("http://127.0.0.1:9", "connection")],
)
async def test_no_trace_is_no_error(mailbox: Mailbox, url: str, why: str) -> None:
    clock = FakeClock()
    app = create_simulator(store=None, product_url=url, clock=clock, timing=PATIENT)
    async with (
        running(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(standalone(app)),
            base_url="http://sim.test",
            trust_env=False,
        ) as http,
    ):
        sim = Sim(http, clock)
        phone = await sim.phone(await sim.account(mailbox))
        delivery = await phone.do("text", text="早")
        trace = await sim.api("GET", f"deliveries/{delivery['id']}/trace")
        assert trace["trace"] is None
        assert why in trace["why"]


async def test_create_time_follows_the_moved_clock_and_signatures_do_not(
    sim: Sim, mailbox: Mailbox
) -> None:
    phone = await sim.phone(await sim.account(mailbox))
    await sim.api("POST", "time", {"advance_seconds": 86400})
    await phone.do("text", text="早")
    (seen,) = mailbox.seen
    assert int(seen.get("CreateTime")) - int(seen.query["timestamp"]) == 86400
