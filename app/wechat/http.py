"""One request to the platform: raw UTF-8 JSON out, JSON or a typed failure back.

URLs carry the access token, so they are never logged and never part of an error.
"""

from collections.abc import Mapping
from typing import Any, Literal

import httpx
import orjson

from app.wechat.errors import WechatError, error_in
from app.wechat.failures import NotReached, OutcomeUnknown

TIMEOUT = httpx.Timeout(8.0, connect=3.0, pool=3.0)
"""Seconds; so that a call ends well inside a job's own limit."""
_LIMITS = httpx.Limits(max_connections=50, max_keepalive_connections=20, keepalive_expiry=5.0)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


def open_http(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """The client for all accounts of a process; its owner closes it."""
    return httpx.AsyncClient(
        timeout=TIMEOUT, limits=_LIMITS, follow_redirects=False, transport=transport
    )


async def call(
    http: httpx.AsyncClient,
    method: Literal["GET", "POST"],
    url: str,
    *,
    params: Mapping[str, str] | None = None,
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What the platform answered, when that is a success.

    The body goes out as raw UTF-8: the platform shows or refuses `\\u` escapes (protocol 4.0). Raises
    `WechatError` for a refusal, `NotReached` where the request cannot have arrived, and
    `OutcomeUnknown` where it may have.
    """
    content = orjson.dumps(body) if body is not None else None
    headers = {"content-type": "application/json; charset=utf-8"} if content else None
    try:
        response = await http.request(method, url, params=params, content=content, headers=headers)
    except _UNSENT as error:
        raise NotReached(reason=type(error).__name__) from error
    except httpx.HTTPError as error:
        raise OutcomeUnknown(reason=type(error).__name__) from error
    return _understood(response)


def _understood(response: httpx.Response) -> dict[str, Any]:
    """The answer is JSON whatever its content type says (protocol 4.0)."""
    if 400 <= response.status_code < 500:
        raise WechatError(response.status_code, f"HTTP {response.status_code}")
    if response.status_code != 200:  # 5xx: a gateway may have passed the request on
        raise OutcomeUnknown(reason=f"HTTP {response.status_code}")
    try:
        answer = orjson.loads(response.content)
    except orjson.JSONDecodeError as error:
        raise OutcomeUnknown(reason="the answer is not JSON") from error
    if not isinstance(answer, dict):
        raise OutcomeUnknown(reason="the answer is not a JSON object")
    refusal = error_in(answer)
    if refusal is not None:
        raise refusal
    return answer
