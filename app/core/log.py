"""Structured log lines in which nothing secret is legible.

Openids, tokens, keys and verification codes are masked by field name, at any depth; openids, tokens and
phone numbers also where they occur inside a text.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

_SECRET_FIELDS = frozenset(
    {
        "secret",
        "token",
        "access_token",
        "aes_key",
        "password",
        "authorization",
        "cookie",
        "code",
        "signature",
        "msg_signature",
    }
)
_PERSON_FIELDS = frozenset({"openid", "unionid", "phone", "touser"})
_OPENID = re.compile(r"\bo[A-Za-z0-9_-]{27}\b")
_PHONE = re.compile(r"\b1[3-9]\d{9}\b")
_ROW_IN_ERROR = re.compile(r"(DETAIL: +).*?(?=\n(?:\[SQL|CONTEXT|\n)|\Z)", re.DOTALL)
"""PostgreSQL tells the values of the row it refuses."""
_TOKEN_IN_URL = re.compile(r"((?:access_token|secret|appsecret|signature|echostr)=)[^&\s\"']+")
_TOKEN_IN_JSON = re.compile(r"""(["'](?:access_token|secret|appsecret)["']\s*:\s*["'])[^"']+""")
_OUR_TOKEN = re.compile(r"\bgx_[A-Za-z0-9_-]{8,}")


def mask(value: str) -> str:
    """The ends only, so that two lines can still be matched: `oSIM…N8o`."""
    return f"{value[:4]}…{value[-3:]}" if len(value) > 10 else "…"


def mask_text(text: str) -> str:
    """Masks openids, tokens, phone numbers and the rows of database errors wherever they stand."""
    text = _ROW_IN_ERROR.sub(r"\1…", text)
    for token in (_TOKEN_IN_URL, _TOKEN_IN_JSON):
        text = token.sub(r"\1…", text)
    text = _OUR_TOKEN.sub("gx_…", text)
    for person in (_OPENID, _PHONE):
        text = person.sub(lambda found: mask(found.group()), text)
    return text


def _masked(name: str, value: Any) -> Any:
    """The value of a field of that name, and what lies inside it."""
    if name in _SECRET_FIELDS:
        return "…"
    if name in _PERSON_FIELDS:
        return mask(str(value))
    match value:
        case str():
            return mask_text(value)
        case Mapping():
            return {key: _masked(str(key), inner) for key, inner in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_masked("", inner) for inner in value]
        case _:
            return value


def _mask_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        event[name] = _masked(name, value)
    return event


def setup_logging(
    form: Literal["console", "json"] = "console",
    level: Literal["debug", "info", "warning", "error"] = "info",
) -> None:
    """Sends structlog and the standard library's loggers through the same masked, structured lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _mask_event,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_plain)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=renderer)
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(getattr(logging, level.upper()), logging.INFO))
    for noisy in ("alembic", "httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _plain(stream: Any, exc_info: Any) -> None:
    """Tracebacks are already masked text by the time a renderer sees them."""
    structlog.dev.plain_traceback(stream, exc_info)


def get_logger(name: str) -> Any:
    return structlog.get_logger(name, where=name)
