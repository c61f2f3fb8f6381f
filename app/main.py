"""The application: routes, the one layer before them, and a lifespan that opens the runtime."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from app.core.clock import Clock
from app.core.settings import Settings
from app.runtime import Extensions, open_runtime
from app.web import docs, errors, health
from app.web.api import api
from app.web.middleware import WEBHOOK, House
from app.web.webhook import Webhook

VERSION = "0.1.0"


class Server(FastAPI):
    """FastAPI with a door of its own for deliveries.

    The framework's layers wrap `send` and cost more than a delivery's own work; the webhook must see
    the server's `send` to close a held connection without a byte.
    """

    webhook: ASGIApp | None = None
    """Set when the runtime is open."""

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

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with open_runtime(settings, clock, extensions) as runtime:
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
    app.include_router(api())
    app.include_router(docs.router)
    app.include_router(health.router)
    return app
