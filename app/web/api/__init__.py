"""The JSON API, one file per engine; each adds its line here."""

from fastapi import APIRouter

from app.web.api import (
    accounts,
    bundle,
    plugins,
    replies,
    tallies,
    tester,
    timeshift,
    versions,
    why,
)
from app.web.errors import RESPONSES


def api(*, demo: bool = False) -> APIRouter:
    """With `demo`, also what only the demo may do."""
    root = APIRouter(prefix="/api/v1", responses=RESPONSES)
    root.include_router(accounts.router)
    root.include_router(replies.router)
    root.include_router(why.router)
    root.include_router(tallies.router)
    root.include_router(tester.router)
    root.include_router(bundle.router)
    root.include_router(versions.router)
    root.include_router(plugins.router)
    if demo:
        root.include_router(timeshift.router)
    return root
