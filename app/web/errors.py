"""Every error as one JSON shape, in the caller's language.

    {"error": {"code": "SOLD_OUT", "message": "已领完", "retryable": false,
               "details": {"batch_id": "12"}, "request_id": "…"}}

`code` is stable and documented, `message` is for people. What is no `AppError` is a fault: logged
once with its request id and shown without detail; trouble of the database is 503 with Retry-After.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app.core.errors import AppError, NotFound, NotSignedIn, Unavailable
from app.core.log import get_logger
from app.core.problems import problem
from app.db.faults import is_passing
from app.web.answers import json_response
from app.web.language import language_of

RETRY_AFTER_SECONDS = 1
_LOG = get_logger(__name__)


class ErrorDetail(BaseModel):
    code: str
    """Stable; see the documentation."""
    message: str
    """For people, in the language of Accept-Language."""
    retryable: bool
    details: dict[str, Any]
    request_id: str


class ErrorBody(BaseModel):
    error: ErrorDetail


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody, "description": words}
    for status, words in (
        (400, "Malformed / 请求格式有误"),
        (401, "Not signed in / 未登录"),
        (403, "Not allowed / 没有权限"),
        (404, "Not found / 不存在"),
        (409, "Refused by a state or limit / 状态或限额冲突"),
        (413, "Too large / 内容过大"),
        (422, "Not valid / 内容不合规则"),
        (503, "Try again later / 稍后再试"),
    )
}
"""What every call may answer beside success, for the API document."""


class Fault(AppError):
    """Something in the program is wrong; the log has the rest under the request id."""

    code = "FAULT"
    zh = "服务器内部错误，请把请求编号告诉管理员"
    en = "Internal error; tell the operator the request id"


class BadRequest(AppError):
    """The request has not the form that the API document asks for; `details.fields` says where."""

    code = "BAD_REQUEST"
    status = 422
    zh = "请求格式有误：{where} {problem}"
    en = "The request is not valid: {where} {problem}"


class NoSuchRoute(NotFound):
    code = "NO_SUCH_ROUTE"
    zh = "没有这个地址"
    en = "There is nothing at this address"


class WrongMethod(AppError):
    code = "METHOD_NOT_ALLOWED"
    status = 405
    zh = "此地址不接受这个方法"
    en = "This address does not take that method"


class TooLarge(AppError):
    code = "TOO_LARGE"
    status = 413
    zh = "请求内容过大"
    en = "The request is too large"


class Malformed(AppError):
    code = "MALFORMED"
    status = 400
    zh = "无法读取请求内容"
    en = "The request cannot be read"


_BY_STATUS: Mapping[int, type[AppError]] = {
    400: Malformed,
    404: NoSuchRoute,
    405: WrongMethod,
    413: TooLarge,
}


def install(app: FastAPI) -> None:
    """Makes the application answer every error in the one shape."""
    app.add_exception_handler(AppError, _on_app_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)


def answer(request: Request, error: AppError, headers: Mapping[str, str] | None = None) -> Response:
    """The error as a response; the language is the caller's first of Chinese and English."""
    body = {
        "error": {
            "code": error.code,
            "message": error.say(language_of(request.headers)),
            "retryable": error.retryable,
            "details": _plain(error.details),
            "request_id": getattr(request.state, "request_id", ""),
        }
    }
    more = dict(headers or {})
    if error.retryable:
        more.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    if isinstance(error, NotSignedIn):
        more["WWW-Authenticate"] = "Bearer"
    return json_response(body, status=error.status, headers=more)


def fault(request: Request, error: Exception) -> Response:
    """The answer to what nobody expected. Logs it, once."""
    if is_passing(error):
        _LOG.warning("api.database_trouble", path=request.url.path, error=str(error))
        return answer(request, Unavailable())
    _LOG.error("api.fault", path=request.url.path, error=repr(error), exc_info=error)
    return answer(request, Fault())


async def _on_app_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, AppError)  # noqa: S101  # registered for it alone
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _LOG.warning("api.unavailable", path=request.url.path, error=str(error))
    return answer(request, error)


async def _on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    if error.errors() and error.errors()[0]["type"] == "json_invalid":
        return answer(request, Malformed())
    language = language_of(request.headers)
    fields = [
        {
            "field": _path(found["loc"]),
            "problem": problem(found, language),
            "type": found["type"],
        }
        for found in error.errors()
    ]
    first = fields[0] if fields else {"field": "", "problem": ""}
    return answer(
        request, BadRequest(where=first["field"], problem=first["problem"], fields=fields)
    )


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    known = _BY_STATUS.get(error.status_code)
    if known is None:
        text = error.detail or HTTPStatus(error.status_code).phrase
        return Response(text, error.status_code, error.headers, "text/plain")
    return answer(request, known(), error.headers)


def _path(location: Sequence[Any]) -> str:
    """`body.words.3` for people: where in the request something is wrong."""
    return ".".join(str(part) for part in location)


def _plain(details: Mapping[str, object]) -> dict[str, Any]:
    """Details as JSON; ids as strings, as everywhere in the API."""
    return {name: _plain_value(value) for name, value in details.items()}


def _plain_value(value: object) -> Any:
    if isinstance(value, bool | str | float) or value is None:
        return value
    if isinstance(value, int):
        return str(value) if value > 2**53 else value
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, list | tuple):
        return [_plain_value(item) for item in value]
    return str(value)
