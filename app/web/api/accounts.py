"""The official accounts a caller may see, and who the caller is."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

from app.accounts.registry import LiveAccount
from app.web.deps import Caller, caller, needs, services

router = APIRouter(tags=["accounts"])


class AccountOut(BaseModel):
    id: str
    slug: str
    name: str
    kind: Literal["subscription", "service"]
    verified: bool
    original_id: str | None
    appid: str
    mode: Literal["plain", "compat", "safe"]
    timezone: str
    contact: str
    may_send: bool
    """Whether customer messages may be sent; if not, only passive answers exist."""
    capabilities: list[str]


class AccountList(BaseModel):
    items: list[AccountOut]


class Me(BaseModel):
    name: str
    role: str
    rights: list[str]


@router.get("/accounts")
async def list_accounts(
    request: Request, who: Annotated[Caller, needs("accounts.read")]
) -> AccountList:
    """Every account the caller may see that is switched on and works, oldest first."""
    visible = [found for found in services(request).accounts.all() if who.sees(found.id)]
    return AccountList(items=[_out(found) for found in visible])


@router.get("/me")
async def me(who: Annotated[Caller, Depends(caller)]) -> Me:
    """What the token is good for."""
    return Me(name=who.name, role=who.role.value, rights=sorted(who.rights))


def _out(found: LiveAccount) -> AccountOut:
    return AccountOut.model_validate(
        {
            "id": str(found.id),
            "slug": found.slug,
            "name": found.name,
            "kind": found.kind,
            "verified": found.verified,
            "original_id": found.original_id,
            "appid": found.appid,
            "mode": found.mode,
            "timezone": found.timezone,
            "contact": found.contact,
            "may_send": found.view.may_send,
            "capabilities": sorted(found.capabilities),
        }
    )
