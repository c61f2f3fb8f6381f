"""The application: routes, the one layer before them, and a lifespan that opens the runtime.

Where settings say so, the simulator is mounted beside it, with the background work of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from fastapi import FastAPI
from fastapi.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.clock import Clock, SystemClock
from app.core.settings import Settings
from app.delivery.runner import Runner
from app.runtime import Extensions, open_runtime
from app.simulator.app import close_streams, create_simulator, moved_seconds, running
from app.web import docs, errors, health
from app.web.api import api
from app.web.middleware import WEBHOOK, House
from app.web.webhook import Webhook

VERSION = "0.1.0"
SIMULATOR = "/simulator"
WIND_DOWN_SECONDS = 2.0
"""What jobs under way are given; with the seven seconds for deliveries it stays below ten."""


class Server(FastAPI):
    """FastAPI with a door of its own for deliveries.

    The framework's layers wrap `send` and cost more than a delivery's own work; the webhook must see
    the server's `send` to close a held connection without a byte.
    """

    webhook: ASGIApp | None = None
    """Set when the runtime is open."""
    simulator: FastAPI | None = None
    """Set while it is mounted."""

    async def wind_down(self) -> None:
        """For whoever serves: the beginning of a stop, while requests are still answered.

        With the simulator aboard, event streams end, which never end by themselves; and jobs end
        that call the platform, which is this very process: once it accepts nothing more, they
        would wait for answers in vain.
        """
        if self.simulator is None:
            return
        close_streams(self.simulator)
        runner: Runner = self.state.runtime.runner
        runner.stop(WIND_DOWN_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(WIND_DOWN_SECONDS + 1):
                await runner.stopped()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            self.webhook is not None
            and scope["type"] == "http"
            and scope["path"].startswith(WEBHOOK)
        ):
            await self.webhook(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(
    settings: Settings, clock: Clock | None = None, extensions: Extensions | None = None
) -> Server:
    """The application of one process. Nothing is opened before its lifespan begins."""

    clock = clock or SystemClock()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with (
            mounted_simulator(app, settings, clock),
            open_runtime(settings, clock, extensions) as runtime,
        ):
            app.state.runtime = runtime
            app.webhook = Webhook(
                runtime.accounts,
                runtime.writer,
                runtime.deadline,
                runtime.quarantine,
                runtime.clock,
            )
            yield

    app = Server(
        title="Guanxi 关系",
        version=VERSION,
        description="微信公众号服务器 · A self-hosted server for WeChat official accounts",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=[Middleware(House, settings=settings)],
    )
    errors.install(app)
    app.include_router(api(demo=settings.demo))
    app.include_router(docs.router)
    app.include_router(health.router)
    return app


@asynccontextmanager
async def mounted_simulator(app: Server, settings: Settings, clock: Clock) -> AsyncIterator[None]:
    """WeChat in a box under `/simulator` of the application, if the settings want it.

    Its clock is its own, and it remembers how far time was moved: in the demo the product's clock
    goes on from there.
    """
    if not settings.simulator:
        yield
        return
    product = settings.simulator_product_url
    simulator = create_simulator(
        store=settings.data_dir / "simulator.db",
        product_url=product,
        trace_token=settings.simulator_trace_token.get_secret_value(),
        clock=SystemClock(),
        prefix=SIMULATOR,
        product_time_url=f"{product}/api/v1/demo/time" if product and settings.demo else "",
    )
    if settings.demo and isinstance(clock, SystemClock):
        clock.offset = timedelta(seconds=moved_seconds(simulator))
    mount = Mount(SIMULATOR, app=simulator)
    async with running(simulator):
        app.router.routes.append(mount)
        app.simulator = simulator
        try:
            yield
        finally:
            app.simulator = None
            app.router.routes.remove(mount)
