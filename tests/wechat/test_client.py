from collections.abc import Callable
from typing import Any

import httpx
import pytest
import structlog

from app.core.replies import TextReply
from app.wechat.client import AccountApi, WechatApi
from app.wechat.errors import WechatError
from app.wechat.failures import NotReached, OutcomeUnknown
from app.wechat.http import open_http
from app.wechat.render import customer_message
from app.wechat.tokens import AccountKeys, ApiCredentials, Tokens

Answer = httpx.Response | Exception


class FixedTokens(Tokens):
    """Hands out `t1`, and the next number for each that is refused."""

    def __init__(self) -> None:
        self.number = 1
        self.replaced: list[str] = []

    async def get(self, account: ApiCredentials) -> str:
        return f"t{self.number}"

    async def replace(self, account: ApiCredentials, refused: str) -> str:
        self.replaced.append(refused)
        self.number += 1
        return f"t{self.number}"


class Wire:
    def __init__(self, *answers: Answer) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)
        self.tokens = FixedTokens()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def api(self) -> AccountApi:
        http = open_http(httpx.MockTransport(self))
        return WechatApi(http, "http://platform/", self.tokens).for_account(
            AccountKeys(1, "wx1", "secret")
        )


def ok(**fields: Any) -> httpx.Response:
    return httpx.Response(200, json={"errcode": 0, "errmsg": "ok", **fields})


def refusal(code: int, errmsg: str = "no rid: 1-2-3") -> httpx.Response:
    return httpx.Response(200, json={"errcode": code, "errmsg": errmsg})


async def test_a_message_goes_out_as_raw_utf8() -> None:
    wire = Wire(ok())
    await wire.api.send_custom(customer_message(TextReply("您好 👋"), "openid"))
    (request,) = wire.requests
    assert (request.method, request.url.path) == ("POST", "/cgi-bin/message/custom/send")
    assert dict(request.url.params) == {"access_token": "t1"}
    assert request.content == (
        '{"touser":"openid","msgtype":"text","text":{"content":"您好 👋"}}'.encode()
    )
    assert request.headers["content-type"].startswith("application/json")


@pytest.mark.parametrize("code", [40001, 40014, 42001])
async def test_a_refused_token_is_replaced_once(code: int) -> None:
    wire = Wire(refusal(code), ok())
    await wire.api.send_custom({})
    assert [r.url.params["access_token"] for r in wire.requests] == ["t1", "t2"]
    again = Wire(refusal(code), refusal(code))
    with pytest.raises(WechatError) as raised:
        await again.api.send_custom({})
    assert (raised.value.code, raised.value.rid) == (code, "1-2-3")
    assert len(again.requests) == 2, "never in a loop"


async def test_any_other_refusal_is_told_at_once() -> None:
    wire = Wire(refusal(45015))
    with pytest.raises(WechatError) as raised:
        await wire.api.send_custom({})
    assert (raised.value.code, raised.value.errmsg) == (45015, "no")
    assert wire.tokens.replaced == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.ConnectError("x"), NotReached),
        (httpx.ConnectTimeout("x"), NotReached),
        (httpx.PoolTimeout("x"), NotReached),
        (httpx.ReadTimeout("x"), OutcomeUnknown),
        (httpx.WriteTimeout("x"), OutcomeUnknown),
        (httpx.RemoteProtocolError("x"), OutcomeUnknown),
        (httpx.Response(500), OutcomeUnknown),
        (httpx.Response(302), OutcomeUnknown),
        (httpx.Response(200, text="<html>"), OutcomeUnknown),
        (httpx.Response(200, json=[1]), OutcomeUnknown),
        (httpx.Response(413), WechatError),
    ],
)
async def test_failures_say_whether_it_may_have_arrived(
    answer: Answer, error: type[Exception]
) -> None:
    wire = Wire(answer)
    with pytest.raises(error):
        await wire.api.send_custom({})
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("call", "method", "path", "params", "answer", "expected"),
    [
        (lambda a: a.create_menu({"button": []}), "POST", "menu/create", {}, ok(), None),
        (lambda a: a.get_menu(), "GET", "menu/get", {}, ok(menu=1), 1),
        (lambda a: a.get_menu(), "GET", "menu/get", {}, refusal(46003), None),
        (lambda a: a.delete_menu(), "GET", "menu/delete", {}, ok(), None),
        (
            lambda a: a.user_info("o1"),
            "GET",
            "user/info",
            {"openid": "o1", "lang": "zh_CN"},
            httpx.Response(200, json={"menu": 1}),
            1,
        ),
        (
            lambda a: a.callback_ips(),
            "GET",
            "getcallbackip",
            {},
            httpx.Response(200, text='{"ip_list": ["1.2.3.4"]}'),
            ["1.2.3.4"],
        ),
    ],
)
async def test_the_other_calls(
    call: Callable[[AccountApi], Any],
    method: str,
    path: str,
    params: dict[str, str],
    answer: httpx.Response,
    expected: Any,
) -> None:
    wire = Wire(answer)
    got = await call(wire.api)
    (request,) = wire.requests
    assert (request.method, request.url.path) == (method, f"/cgi-bin/{path}")
    assert dict(request.url.params) == {"access_token": "t1", **params}
    assert (got["menu"] if isinstance(got, dict) else got) == expected


async def test_a_menu_that_cannot_be_read_is_not_taken_for_none() -> None:
    with pytest.raises(WechatError):
        await Wire(refusal(48001)).api.get_menu()


async def test_no_token_is_in_a_log_line_or_an_error() -> None:
    wire = Wire(refusal(40001), httpx.ReadTimeout("timed out"))
    with structlog.testing.capture_logs() as lines, pytest.raises(OutcomeUnknown) as raised:
        await wire.api.user_info("o1")
    assert lines
    assert "t1" not in str(lines)
    assert "t1" not in f"{raised.value!s} {raised.value!r} {raised.value.__cause__!r}"
