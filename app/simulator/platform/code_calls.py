"""Parametric QR codes. Protocol reference 4.10."""

import io
from typing import Any

import segno
from starlette.responses import Response

from app.simulator import codes
from app.simulator.platform.call import Answer, ApiError, Call, Endpoint

_PERMANENT = 100_000
_BIGGEST_ID = (1 << 32) - 1
_SCENE_CHARACTERS = 64


def _scene(action: str, scene: dict[str, Any]) -> str:
    if action in ("QR_STR_SCENE", "QR_LIMIT_STR_SCENE"):
        text = scene.get("scene_str")
        if not isinstance(text, str) or not 1 <= len(text) <= _SCENE_CHARACTERS:
            raise ApiError(40053, "scene_str")
        return text
    number = scene.get("scene_id")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ApiError(40053, "scene_id")
    if action == "QR_LIMIT_SCENE" and number > _PERMANENT:
        raise ApiError(40053, "scene_id")
    return str(min(number, _BIGGEST_ID))


async def create(call: Call) -> Answer:
    data = call.data()
    action = str(data.get("action_name", ""))
    if action not in ("QR_SCENE", "QR_STR_SCENE", "QR_LIMIT_SCENE", "QR_LIMIT_STR_SCENE"):
        raise ApiError(40053, "action_name")
    info = data.get("action_info")
    scene = info.get("scene") if isinstance(info, dict) else None
    if not isinstance(scene, dict):
        raise ApiError(40053, "action_info")
    name = _scene(action, scene)
    seconds = None
    if action.startswith("QR_LIMIT"):
        if codes.count_permanent(call.world, call.account.appid) >= _PERMANENT:
            raise ApiError(40053, "no permanent codes left")
    else:
        seconds = _seconds(data.get("expire_seconds", codes.DEFAULT_SECONDS))
    code = codes.create(call.world, call.account.appid, action, name, seconds)
    life = {} if seconds is None else {"expire_seconds": seconds}
    return {"ticket": code.ticket, **life, "url": code.url}


def _seconds(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ApiError(40035, "expire_seconds")
    return min(value, codes.MAX_SECONDS)


async def show(call: Call) -> Answer:
    """A picture of the code (the platform sends JPG, this is PNG); 404 for a ticket nobody made."""
    code = codes.find(call.world, call.query("ticket"))
    if code is None:
        return Response(status_code=404)
    picture = io.BytesIO()
    segno.make(code.url, error="m").save(picture, kind="png", scale=8)
    return Response(picture.getvalue(), media_type="image/png")


ENDPOINTS = (
    Endpoint("qrcode/create", "POST", create, "qrcode"),
    Endpoint("showqrcode", "GET", show, token=False),
)
