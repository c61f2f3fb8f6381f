"""What every answer but a delivery's passes through, in one pure ASGI layer.

A request id, the client's real address behind a trusted proxy, security headers, and the one place
where a fault becomes an answer. Deliveries go past it by one comparison.
"""

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core.rng import secret_token
from app.core.settings import BadSettings, Settings
from app.web.errors import fault

WEBHOOK = "/wechat/"
API = "/api/"
API_BODY_BYTES = 4 * 1024 * 1024
IMPORT = "/api/v1/replies/import"
IMPORT_BODY_BYTES = 8 * 1024 * 1024
"""Room for a book of 10,000 rules, whichever way it is written."""
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_PRIVATE = tuple(
    ip_network(written)  # `is_private` of the library also counts networks that are routed nowhere
    for written in (
        "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1", "fc00::/7",
    )
)  # fmt: skip
_HSTS = "max-age=31536000"


class Proxies:
    """Which peers are believed when they say for whom they ask."""

    def __init__(self, written: str) -> None:
        """Addresses or networks, comma-separated. Raises `BadSettings` for what is neither."""
        try:
            self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(
                ip_network(part.strip(), strict=False)
                for part in written.split(",")
                if part.strip()
            )
        except ValueError as error:
            raise BadSettings(problem=f"GUANXI_TRUSTED_PROXIES: {error}") from error

    def trusts(self, address: str) -> bool:
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)

    def client(self, peer: str, forwarded: Iterable[str]) -> str:
        """The last address in the chain that is no proxy of ours.

        What stands further left was written by the client and may be anything.
        """
        client = peer
        for hop in reversed(list(forwarded)):
            if not self.trusts(client) or _address(hop) is None:
                break
            client = hop
        return client


class House:
    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._proxies = Proxies(settings.trusted_proxies)
        self._headers: Mapping[str, str] = _HEADERS
        if settings.public_url.startswith("https://"):
            self._headers = {**_HEADERS, "Strict-Transport-Security": _HSTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(WEBHOOK):
            await self._app(scope, receive, send)
            return
        request_id = self._receive_from(scope)
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                if scope["path"].startswith(API):
                    receive = _limited(scope, receive)
                await self._app(scope, receive, send_with_headers)
            except Exception as error:
                if started:
                    raise  # too late for an answer: the server cuts the connection
                response = fault(Request(scope), error)
                await response(scope, receive, send_with_headers)

    def _receive_from(self, scope: Scope) -> str:
        """Writes the client's address and scheme into the scope and returns the request's id."""
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else ""
        given = ""
        if self._proxies.trusts(peer):
            forwarded = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",")]
            scope["client"] = (self._proxies.client(peer, forwarded), 0)
            scheme = headers.get("x-forwarded-proto", "").strip().lower()
            if scheme in ("http", "https"):
                scope["scheme"] = scheme
            given = headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else secret_token(9)
        scope.setdefault("state", {}).update(request_id=request_id, peer=peer)
        return request_id


def _limited(scope: Scope, receive: Receive) -> Receive:
    """Raises the exception for 413 as soon as more came, or is announced, than the call may bring.

    It is the framework's own, which it lets through where it reads a body.
    """
    announced = Headers(scope=scope).get("content-length", "")
    most = int(announced) if announced.isdecimal() else 0
    limit = IMPORT_BODY_BYTES if scope["path"] == IMPORT else API_BODY_BYTES
    came = 0

    async def receive_at_most() -> Message:
        nonlocal came
        if most > limit:
            raise HTTPException(413)
        message = await receive()
        came += len(message.get("body", b""))
        if came > limit:
            raise HTTPException(413)
        return message

    return receive_at_most


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """The address, an IPv4 one in IPv6 clothes undressed; None for anything else."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_private(address: str) -> bool:
    """Loopback, or a network that nobody outside can send from."""
    found = _address(address)
    return found is not None and any(found in network for network in _PRIVATE)
