"""One call of the platform's API: what came in, and how errors leave."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson
from starlette.requests import Request
from starlette.responses import Response

from app.core.rng import secret_bytes
from app.simulator.box import Box
from app.simulator.capabilities import Ability
from app.simulator.model import Account, Follower
from app.simulator.world import World

_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u(?!00[0-7])")

MESSAGES: dict[int, str] = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40003: "invalid openid",
    40004: "invalid media type",
    40005: "invalid file type",
    40006: "invalid meida size",
    40007: "invalid media_id",
    40008: "invalid message type",
    40009: "invalid image size",
    40010: "invalid voice size",
    40011: "invalid video size",
    40012: "invalid thumb size",
    40013: "invalid appid",
    40014: "invalid access_token",
    40016: "invalid button size",
    40017: "invalid button type",
    40018: "invalid button name size",
    40019: "invalid button key size",
    40020: "invalid button url size",
    40023: "invalid sub button size",
    40025: "invalid sub button name size",
    40026: "invalid sub button key size",
    40027: "invalid sub button url size",
    40032: "invalid openid list size",
    40033: "invalid charset. please check your request, if include \\uxxxx will create fail!",
    40035: "invalid parameter",
    40053: "invalid action info",
    40066: "invalid url",
    40125: "invalid appsecret",
    40200: "invalid account type",
    40201: "callback url not set",
    40202: "invalid action",
    40203: "invalid check_operator",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41005: "media data missing",
    41006: "media_id missing",
    41009: "missing openid",
    42001: "access_token expired",
    43001: "require GET method",
    43002: "require POST method",
    43004: "require subscribe",
    44002: "empty post data",
    44003: "empty news data",
    44004: "empty content",
    45002: "content size out of limit",
    45008: "article size out of limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, please retry next minute",
    45015: "response out of time limit or subscription is canceled",
    45047: "out of response count limit",
    45056: "tag count out of limit",
    45058: "can not modify system tag",
    45059: "tags of one user out of limit",
    45072: "invalid command",
    45080: "need an exchange within 30 seconds",
    45081: "already typing",
    45157: "tag name invalid or taken",
    45158: "tag name too long",
    45159: "invalid tag",
    46003: "menu no exist",
    47001: "data format error",
    48001: "api unauthorized",
    48006: "clear quota times out of limit",
    48008: "no permission for this msgtype",
    65301: "menuid not exist",
    65302: "no such user",
    65303: "there is no selfmenu, please create selfmenu first",
    65304: "matchrule is empty",
    65316: "too many domains in conditional menus",
    65320: "matchrule field not supported any more",
}


class ApiError(Exception):
    """Answered as HTTP 200 with `errcode`."""

    def __init__(self, code: int, hint: str = "") -> None:
        super().__init__(code, hint)
        self.code = code
        self.hint = hint

    def body(self) -> dict[str, Any]:
        message = MESSAGES.get(self.code, "error")
        if self.hint:
            message = f"{message} hint: {self.hint}"
        return {"errcode": self.code, "errmsg": f"{message} rid: {_rid()}"}


def _rid() -> str:
    raw = secret_bytes(12).hex()
    return f"{raw[:8]}-{raw[8:16]}-{raw[16:]}"


OK: dict[str, Any] = {"errcode": 0, "errmsg": "ok"}


@dataclass(slots=True)
class Call:
    box: Box
    request: Request
    raw: bytes
    caller: Account | None = None
    """Whose token came along; None for calls that need none."""

    @property
    def account(self) -> Account:
        if self.caller is None:
            raise ApiError(41001)
        return self.caller

    @property
    def world(self) -> World:
        return self.box.world

    def query(self, name: str) -> str:
        return self.request.query_params.get(name, "")

    def data(self, *, escapes: Literal["literal", "refuse"] = "literal") -> dict[str, Any]:
        r"""The JSON object sent.

        `\uXXXX` escapes are not understood by the platform's menus, tags and messages: they are
        shown as they stand, or refused with 40033. (Escapes of ASCII are let through.)
        """
        return parse_json(self.raw, escapes=escapes)

    def follower(self, openid: object) -> Follower:
        """Raises 40003 for somebody this account never met."""
        found = self.world.store.find_follower(self.account.appid, str(openid or ""))
        if found is None:
            raise ApiError(40003)
        return found


def parse_json(raw: bytes, *, escapes: Literal["literal", "refuse"] = "literal") -> dict[str, Any]:
    if not raw:
        raise ApiError(44002)
    if _ESCAPE.search(raw):
        if escapes == "refuse":
            raise ApiError(40033)
        raw = _ESCAPE.sub(rb"\1\\\\u", raw)
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise ApiError(47001, str(error)) from error
    if not isinstance(data, dict):
        raise ApiError(47001, "an object is expected")
    return data


Answer: TypeAlias = "dict[str, Any] | Response"
Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path below `/cgi-bin/`; its name is also the name of its daily quota."""

    name: str
    method: Literal["GET", "POST"]
    handler: Handler
    ability: Ability = "basic"
    token: bool = True
