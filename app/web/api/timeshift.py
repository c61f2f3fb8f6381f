"""Moving the product's clock. A route of the demo alone, for the simulator beside it."""

from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from app.core.clock import SystemClock
from app.core.errors import NotAllowed
from app.web.deps import services

router = APIRouter(prefix="/demo", tags=["demo"])
_YEARS = 10 * 366 * 86400


def _from_here(request: Request) -> None:
    """Refuses who does not sit at this machine, and pages of other origins."""
    client = request.client.host if request.client else ""
    site = request.headers.get("sec-fetch-site", "none")
    forwarded = "x-forwarded-for" in request.headers
    if forwarded or not _is_loopback(client) or site not in ("none", "same-origin"):
        raise NotAllowed(permission="demo.time")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


class TimeShift(BaseModel):
    model_config = ConfigDict(extra="forbid")

    offset_seconds: Annotated[float, Field(ge=-_YEARS, le=_YEARS)]
    """How far ahead of real time the product is to be."""


class ShiftedTime(BaseModel):
    now: str
    offset_seconds: float


@router.post("/time", dependencies=[Depends(_from_here)])
async def move_time(request: Request, body: TimeShift) -> ShiftedTime:
    """Sets how far the product's clock is ahead; what has become due runs at once."""
    runtime = services(request)
    clock = runtime.clock
    if not isinstance(clock, SystemClock):
        raise NotAllowed(permission="demo.time")
    clock.offset = timedelta(seconds=body.offset_seconds)
    runtime.runner.wake()
    return ShiftedTime(now=clock.now().isoformat(), offset_seconds=body.offset_seconds)
