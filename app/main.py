"""The application: routes, the one layer before them, and a lifespan that opens the runtime."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware import Middleware

from app.core.clock import Clock
from app.core.settings import Settings
from app.runtime import open_runtime
from app.web import docs, errors, health
from app.web.api import api
from app.web.front import Front
from app.web.middleware import House

VERSION = "0.1.0"


def create_app(settings: Settings, clock: Clock | None = None) -> FastAPI:
    """The application of one process. Nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_runtime(settings, clock) as runtime:
            app.state.runtime = runtime
            yield

    app = FastAPI(
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


def create_server(settings: Settings, clock: Clock | None = None) -> Front:
    """What a serving process runs: the application behind the deliveries' own door."""
    app = create_app(settings, clock)
    return Front(lambda: app.state.webhook, app)
