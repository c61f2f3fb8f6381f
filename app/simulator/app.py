"""The simulator as an application: mounted by the product, or alone."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse
from starlette.routing import Mount, Route

from app.core.clock import Clock
from app.core.errors import AppError
from app.simulator import api, page
from app.simulator.box import Box
from app.simulator.pictures import Pictures
from app.simulator.platform import routes as platform
from app.simulator.product import Product
from app.simulator.sender import Sender, Timing
from app.simulator.store import Store
from app.simulator.world import World


def create_simulator(
    *,
    store: Path | None,
    product_url: str,
    trace_token: str = "",
    clock: Clock,
    prefix: str = "/simulator",
    product_time_url: str = "",
    timing: Timing | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """An application to be mounted at `prefix`, or wrapped by `standalone`.

    `store` is its own SQLite file, or None for memory. `clock` must not be one that the product
    moves: the simulator keeps its own offset. `product_url` and the read-only `trace_token` are
    what traces are asked with, `product_time_url` is told when time is moved; both may be empty.
    `transport` is another way to the accounts' servers than the network.
    Whoever mounts it enters `running(app)` for as long as it serves; nothing is sent before.
    """
    product = Product(product_url, trace_token, product_time_url)
    box = _open(store, clock, product, timing, prefix, transport)
    app = FastAPI(
        title="WeChat in a box",
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=running,
    )
    app.state.box = box
    app.include_router(api.router)
    app.router.routes.extend([*platform.routes(), *page.routes()])
    app.add_middleware(page.Guard)
    app.add_exception_handler(AppError, _refuse)
    app.add_exception_handler(RequestValidationError, _invalid)
    return app


def _open(
    store: Path | None,
    clock: Clock,
    product: Product,
    timing: Timing | None,
    prefix: str,
    transport: httpx.AsyncBaseTransport | None,
) -> Box:
    world = World(Store(store), clock)
    timing = timing or Timing()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        if box.tasks is None:
            work.close()
            raise RuntimeError("enter running(app) before anything is sent")
        task = box.tasks.create_task(work)
        box.under_way.add(task)
        task.add_done_callback(box.under_way.discard)

    box = Box(world, Sender(world, timing, spawn, transport), product, Pictures(), prefix)
    return box


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[None]:
    """Lets the simulator send. On leaving, deliveries under way are broken off and noted as such."""
    box: Box = app.state.box
    for delivery in box.world.store.unsettled():
        delivery.state, delivery.reason = "interrupted", "the simulator was stopped"
        box.world.store.save_delivery(delivery)
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as tasks:
            box.tasks = tasks
            try:
                yield
            except Exception as error:  # noqa: BLE001 - raised below, not wrapped by the group
                failure = error
            finally:
                box.tasks = None
                box.world.hub.close()
                for task in list(box.under_way):
                    task.cancel()
        if failure:
            raise failure
    finally:
        await box.sender.close()
        await box.product.close()
        await box.pictures.close()
        box.world.store.close()


def close_streams(app: FastAPI) -> None:
    """Ends the open event streams. For whoever serves, at the beginning of a stop: a server waits for
    open answers, and these never end by themselves."""
    app.state.box.world.hub.close()


def moved_seconds(app: FastAPI) -> float:
    """How far time has been moved, also before a restart."""
    box: Box = app.state.box
    return box.world.offset_seconds


def move_time(app: FastAPI, seconds: float) -> None:
    """Moves the simulator's time alone; for whoever moves the product's clock along."""
    app.state.box.world.advance(seconds)


def standalone(app: FastAPI) -> Starlette:
    """The simulator at its prefix, with its own lifespan; `/` leads to the phone."""
    prefix = app.state.box.prefix

    async def home(_: Request) -> RedirectResponse:
        return RedirectResponse(f"{prefix}/")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with running(app):
            yield

    return Starlette(routes=[Route("/", home), Mount(prefix, app=app)], lifespan=lifespan)


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, AppError):
        raise error
    language = request.headers.get("accept-language", "zh")
    details = {name: str(value) for name, value in error.details.items()}
    return _problem(error, error.say(language), details)


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"])
    return JSONResponse(
        {"error": {"code": "INVALID", "message": f"{field}: {first['msg']}", "retryable": False}},
        422,
    )


def _problem(error: AppError, message: str, details: dict[str, str]) -> JSONResponse:
    body = {
        "code": error.code,
        "message": message,
        "retryable": error.retryable,
        "details": details,
    }
    return JSONResponse({"error": body}, error.status)
