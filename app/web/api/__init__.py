"""The JSON API, one file per engine; each adds its line here."""

from fastapi import APIRouter

from app.web.api import accounts, replies
from app.web.errors import RESPONSES


def api() -> APIRouter:
    root = APIRouter(prefix="/api/v1", responses=RESPONSES)
    root.include_router(accounts.router)
    root.include_router(replies.router)
    return root
