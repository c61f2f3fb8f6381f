"""The one shape of errors, in both languages."""

from typing import Any

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from structlog.testing import capture_logs

from app.core.errors import Refusal, Unavailable
from app.web.middleware import API_BODY_BYTES, CSP


class TooMany(Refusal):
    code = "TOO_MANY"
    zh = "超过上限 {limit}"
    en = "More than {limit}"


class Body(BaseModel):
    words: list[str] = Field(min_length=1)
    priority: int = Field(le=10)


@pytest.fixture(autouse=True)
def routes(app: FastAPI) -> None:
    router = APIRouter(prefix="/api/v1/test")

    @router.get("/refused")
    async def refused() -> None:
        raise TooMany(limit=3, batch_id=2**60, parts=[1, {"a": None}], flag=True, other=object)

    @router.get("/away")
    async def away() -> None:
        raise Unavailable

    @router.get("/database")
    async def database() -> None:
        raise ConnectionRefusedError("no database")

    @router.get("/fault")
    async def fault() -> None:
        raise KeyError("a secret detail")

    @router.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, headers={"X-Tea": "1"})

    @router.post("/body")
    async def body(body: Body) -> dict[str, Any]:
        return {"ok": len(body.words)}

    app.include_router(router)


async def error_of(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()["error"]
    assert set(found) == {"code", "message", "retryable", "details", "request_id"}
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("", "超过上限 3"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "超过上限 3"),
        ("en-US,en;q=0.9", "More than 3"),
        ("en;q=0.5, zh;q=0.6", "超过上限 3"),
        ("fr, en;q=0.2", "More than 3"),
        ("de", "超过上限 3"),
        ("en;q=x", "超过上限 3"),
    ],
)
async def test_a_refusal_speaks_the_callers_language(
    client: httpx.AsyncClient, language: str, words: str
) -> None:
    answer = await client.get("/api/v1/test/refused", headers={"Accept-Language": language})
    assert answer.status_code == 409
    found = await error_of(answer)
    assert (found["code"], found["message"], found["retryable"]) == ("TOO_MANY", words, False)
    details = found["details"]
    assert details["limit"] == 3
    assert details["batch_id"] == str(2**60), "ids are strings"
    assert details["parts"] == [1, {"a": None}]
    assert details["flag"] is True


@pytest.mark.parametrize("path", ["away", "database"])
async def test_trouble_that_passes_says_when_to_come_back(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(f"/api/v1/test/{path}")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    found = await error_of(answer)
    assert (found["code"], found["retryable"]) == ("UNAVAILABLE", True)


async def test_a_fault_is_logged_once_and_shown_without_detail(client: httpx.AsyncClient) -> None:
    with capture_logs() as lines:
        answer = await client.get("/api/v1/test/fault")
    assert answer.status_code == 500
    assert (await error_of(answer))["code"] == "FAULT"
    assert "secret detail" not in answer.text
    faults = [line for line in lines if line["event"] == "api.fault"]
    assert len(faults) == 1
    assert "a secret detail" in faults[0]["error"]
    assert answer.headers["content-security-policy"] == CSP


async def test_what_is_wrong_with_a_body_is_said_by_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/v1/test/body", json={"words": [], "priority": 11})
    assert answer.status_code == 422
    found = await error_of(answer)
    assert found["code"] == "BAD_REQUEST"
    assert [field["field"] for field in found["details"]["fields"]] == [
        "body.words",
        "body.priority",
    ]
    assert "body.words" in found["message"]


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("POST", "/api/v1/test/body", "{", 400, "MALFORMED"),
        ("POST", "/api/v1/test/body", "x" * (API_BODY_BYTES + 1), 413, "TOO_LARGE"),
        ("DELETE", "/api/v1/test/body", "", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/nowhere", "", 404, "NO_SUCH_ROUTE"),
        ("GET", "/api/v1/nowhere", "", 404, "NO_SUCH_ROUTE"),
    ],
)
async def test_what_the_framework_refuses_has_the_same_shape(
    client: httpx.AsyncClient, method: str, path: str, content: str, status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await client.request(method, path, content=content, headers=headers)
    assert answer.status_code == status
    assert (await error_of(answer))["code"] == code


async def test_a_body_without_a_length_is_limited_too(client: httpx.AsyncClient) -> None:
    async def parts() -> Any:
        for _ in range(5):
            yield b" " * (API_BODY_BYTES // 4)

    headers = {"Content-Type": "application/json"}
    answer = await client.post("/api/v1/test/body", content=parts(), headers=headers)
    assert answer.status_code == 413
    assert (await error_of(answer))["code"] == "TOO_LARGE"


async def test_other_refusals_keep_their_status_and_headers(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/test/teapot")
    assert (answer.status_code, answer.headers["x-tea"]) == (418, "1")
