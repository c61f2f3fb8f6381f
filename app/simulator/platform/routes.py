"""Takes each call through faults, method, token, ability and quota to its handler, as the platform does."""

import asyncio
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.simulator import capabilities, quotas, tokens
from app.simulator.box import Box, box_of
from app.simulator.calls import CallRecord
from app.simulator.faults import Fault
from app.simulator.model import Account
from app.simulator.platform import (
    code_calls,
    media_calls,
    menu_calls,
    message_calls,
    token_calls,
    user_calls,
)
from app.simulator.platform.call import Answer, ApiError, Call, Endpoint, parse_json

_ENDPOINTS: dict[str, Endpoint] = {
    endpoint.name: endpoint
    for part in (token_calls, menu_calls, message_calls, user_calls, media_calls, code_calls)
    for endpoint in part.ENDPOINTS
}
_HTML = "<html><head><title>Bad Gateway</title></head><body><h1>502</h1></body></html>"
_HANG_MS = 60_000
_BODY_BYTES = 12 << 20


def routes() -> list[Route]:
    methods = ["GET", "POST", "PUT", "DELETE"]
    return [Route("/platform/{path:path}", serve, methods=methods, name="platform")]


def names() -> tuple[str, ...]:
    """Every path below `/cgi-bin/` that is served."""
    return tuple(sorted(_ENDPOINTS))


async def serve(request: Request) -> Response:
    box: Box = box_of(request)
    name = request.path_params["path"].removeprefix("cgi-bin/")
    raw = await request.body()
    appid = _caller(box, request, raw)
    record = CallRecord.begin(box.world, appid, request, raw)
    response = await _with_faults(Call(box, request, raw), name, appid)
    box.calls.add(box.world, record.end(response))
    return response


def _caller(box: Box, request: Request, raw: bytes) -> str:
    """The appid a call is made for, as far as it can be told before anything is checked."""
    token = request.query_params.get("access_token", "")
    if token:
        return tokens.owner(box.world, token)
    if "appid" in request.query_params:
        return request.query_params["appid"]
    try:
        return str(parse_json(raw).get("appid", "")) if raw[:1] == b"{" else ""
    except ApiError:
        return ""


async def _with_faults(call: Call, name: str, appid: str) -> Response:
    fault = call.world.faults.take_for_call(appid, f"/cgi-bin/{name}")
    if fault is None:
        return await _answer(call, name)
    match fault.kind:
        case "errcode":
            return _json(ApiError(fault.code).body())
        case "expired_token":
            tokens.expire_all(call.world, appid)
            return await _answer(call, name)
        case "quota":
            return _json(ApiError(fault.code or quotas.USED_UP).body())
        case "http_500":
            return Response(_HTML, 500, media_type="text/html")
        case "html":
            return Response(_HTML, media_type="text/html")
        case "hang":
            return await _hang(call, name, fault)
        case "truncated":
            whole = await _answer(call, name)
            return Response(bytes(whole.body)[: len(whole.body) // 2], media_type="text/plain")
        case _:
            await asyncio.sleep(fault.ms / 1000)
            return await _answer(call, name)


async def _hang(call: Call, name: str, fault: Fault) -> Response:
    """Holds the answer; the caller's patience ends first. The work is done before, or not at all."""
    if fault.after:
        await _answer(call, name)
    await asyncio.sleep((fault.ms or _HANG_MS) / 1000)
    return _json(ApiError(-1).body())


async def _answer(call: Call, name: str) -> Response:
    try:
        answer = await _handle(call, name)
    except ApiError as error:
        answer = error.body()
    return answer if isinstance(answer, Response) else _json(answer)


async def _handle(call: Call, name: str) -> Answer:
    endpoint = _ENDPOINTS.get(name)
    if endpoint is None:
        raise ApiError(40066, name)
    if call.request.method != endpoint.method:
        raise ApiError(43001 if endpoint.method == "GET" else 43002)
    if len(call.raw) > _BODY_BYTES:
        raise ApiError(45002)
    if endpoint.token:
        call.caller = _account(call)
        if not capabilities.may(call.account, endpoint.ability):
            raise ApiError(48001)
        code = quotas.spend(call.world, call.account.appid, name)
        if code:
            raise ApiError(code)
    return await endpoint.handler(call)


def _account(call: Call) -> Account:
    token = call.query("access_token")
    code = tokens.check(call.world, token)
    if code:
        raise ApiError(code)
    return call.world.account(tokens.owner(call.world, token))


def _json(answer: dict[str, Any]) -> Response:
    """As the platform sends it: HTTP 200 and not labelled as JSON."""
    return Response(orjson.dumps(answer), media_type="text/plain")
