from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.core.settings import BadSettings, Settings
from app.web.middleware import CSP, House, Proxies, is_private


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what the layer wrote into the scope."""
    state: dict[str, Any] = scope.get("state", {})
    body = f"{scope['client'][0]} {scope['scheme']} {state.get('request_id')}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def house(app: Any = echo, **settings: object) -> House:
    return House(app, Settings.model_validate(settings))


async def get(app: Any, path: str = "/", peer: str = "10.0.0.1", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(app, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers={n.replace("_", "-"): v for n, v in headers.items()})


class TestProxies:
    async def test_without_trust_nothing_is_believed(self) -> None:
        answer = await get(
            house(),
            x_forwarded_for="203.0.113.9",
            x_forwarded_proto="https",
            x_request_id="mine-0001",
        )
        address, scheme, request_id = answer.text.split()
        assert (address, scheme) == ("10.0.0.1", "http")
        assert request_id != "mine-0001"

    async def test_a_trusted_proxy_tells_client_scheme_and_id(self) -> None:
        app = house(trusted_proxies="10.0.0.0/8")
        answer = await get(
            app, x_forwarded_for="203.0.113.9", x_forwarded_proto="https", x_request_id="mine-0001"
        )
        assert answer.text == "203.0.113.9 https mine-0001"

    @pytest.mark.parametrize(
        ("forwarded", "client"),
        [
            ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
            ("1.1.1.1, 203.0.113.9, 10.0.0.7", "203.0.113.9"),
            ("10.0.0.8, 10.0.0.7", "10.0.0.8"),
            ("rubbish", "10.0.0.1"),
            ("203.0.113.9, rubbish", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("2001:db8::9", "2001:db8::9"),
        ],
    )
    async def test_the_last_that_is_no_proxy_of_ours_is_the_client(
        self, forwarded: str, client: str
    ) -> None:
        answer = await get(house(trusted_proxies="10.0.0.0/8"), x_forwarded_for=forwarded)
        assert answer.text.split()[0] == client

    async def test_an_odd_scheme_or_id_is_not_taken_over(self) -> None:
        app = house(trusted_proxies="10.0.0.1")
        answer = await get(app, x_forwarded_proto="javascript", x_request_id="a b")
        assert answer.text.split()[1] == "http"
        assert answer.headers["x-request-id"] != "a b"

    def test_bad_settings_are_found_at_start(self) -> None:
        with pytest.raises(BadSettings, match="GUANXI_TRUSTED_PROXIES"):
            Proxies("10.0.0.0/8, proxy.example.com")


class TestHeaders:
    async def test_the_strict_policy_is_on_every_answer(self) -> None:
        answer = await get(house())
        assert answer.headers["content-security-policy"] == CSP
        assert "unsafe" not in CSP
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "strict-transport-security" not in answer.headers

    async def test_an_answers_own_policy_is_kept(self) -> None:
        async def own(scope: Scope, receive: Receive, send: Send) -> None:
            headers = [(b"content-security-policy", b"default-src 'none'")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": b""})

        answer = await get(house(own))
        assert answer.headers.get_list("content-security-policy") == ["default-src 'none'"]

    async def test_https_is_asked_for_only_where_the_public_url_has_it(self) -> None:
        answer = await get(house(public_url="https://wx.example.com"))
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_deliveries_pass_untouched() -> None:
    seen: list[tuple[Scope, Receive, Send]] = []

    async def webhook(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Message:
        raise AssertionError

    async def send(message: Message) -> None:
        raise AssertionError

    scope: Scope = {"type": "http", "path": "/wechat/cafe", "headers": []}
    before = dict(scope)
    await house(webhook)(scope, receive, send)
    assert seen == [(scope, receive, send)]
    assert scope == before


async def test_a_fault_in_the_middle_of_an_answer_ends_the_connection() -> None:
    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise KeyError("late")

    with pytest.raises(KeyError):
        await get(house(breaks))


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("127.0.0.1", True),
        ("192.168.0.1", True),
        ("fd00::1", True),
        ("::ffff:10.0.0.1", True),
        ("8.8.8.8", False),
        ("2400:3200::1", False),
        ("unix", False),
        ("", False),
    ],
)
def test_private_addresses(address: str, private: bool) -> None:
    assert is_private(address) is private
