"""The phone page, its modules, and the pictures it shows. Everything comes from here: the page's
content policy allows no other origin, and no inline code or style."""

import hashlib
from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.simulator import samples
from app.simulator.box import Box, box_of
from app.simulator.pictures import PICTURE_TYPES

STATIC = Path(__file__).parent / "static"
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "form-action 'self'"
)
_HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_SAFE_MEDIA = frozenset({*PICTURE_TYPES, "audio/mpeg", "video/mp4"})


def routes() -> list[BaseRoute]:
    return [
        Route("/", page),
        Route("/static/{name}", static),
        Route("/media/{media_id}", media),
        Route("/samples/{preset}.png", sample),
        Route("/items/{item:int}/pictures/{number:int}", picture),
    ]


async def page(request: Request) -> Response:
    """The shell; its addresses are relative, so a slash must end its own."""
    if not request.url.path.endswith("/"):
        return RedirectResponse(f"{request.url.path}/")
    return _file("phone.html")


async def static(request: Request) -> Response:
    return _file(request.path_params["name"])


def _file(name: str) -> Response:
    path = STATIC / name
    media_type = _TYPES.get(path.suffix)
    if path.parent != STATIC or media_type is None or not path.is_file():
        return Response(status_code=404)
    return FileResponse(path, media_type=media_type, headers={"Cache-Control": "no-cache"})


async def sample(request: Request) -> Response:
    """A picture that can be sent, to choose from."""
    preset = request.path_params["preset"]
    if preset not in samples.PICTURES:
        return Response(status_code=404)
    return Response(samples.picture(preset).body, media_type="image/png")


async def media(request: Request) -> Response:
    """A media file, without a token, as the platform's own picture links are. Life: three days."""
    box = box_of(request)
    found = box.world.store.find_media(request.path_params["media_id"])
    if found is None or box.world.find_media(found.appid, found.media_id) is None:
        return Response(status_code=404)
    safe = found.mime if found.mime in _SAFE_MEDIA else "application/octet-stream"
    return Response(found.body, media_type=safe, headers={"Cache-Control": "max-age=3600"})


async def picture(request: Request) -> Response:
    """The picture an article on a screen names by URL, fetched by the simulator.

    Only addresses that are on a screen are fetched. Where none can be had, a drawing stands in.
    """
    box = box_of(request)
    item = box.world.store.find_item(request.path_params["item"])
    articles = getattr(item, "articles", None) or []
    number = request.path_params["number"]
    if number >= len(articles):
        return Response(status_code=404)
    article = articles[number]
    url = str(article.get("picture_url", ""))
    found = await _fetched(box, url) if url else None
    if found is None:
        return _stand_in(url + str(article.get("title", "")), str(article.get("title", ""))[:1])
    return found


async def _fetched(box: Box, url: str) -> Response | None:
    found = await box.pictures.get(url)
    if found is None:
        return None
    mime, body = found
    return Response(body, media_type=mime, headers={"Cache-Control": "max-age=3600"})


def _stand_in(seed: str, letter: str) -> Response:
    """A drawing in colours of its own for each seed."""
    hue = int(hashlib.sha256(seed.encode()).hexdigest()[:4], 16) % 360
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 360 200">'
        f'<rect width="360" height="200" fill="hsl({hue} 42% 62%)"/>'
        f'<circle cx="290" cy="40" r="90" fill="hsl({(hue + 40) % 360} 50% 70%)"/>'
        f'<circle cx="60" cy="190" r="110" fill="hsl({(hue + 320) % 360} 40% 55%)"/>'
        '<text x="180" y="130" font-size="84" text-anchor="middle" fill="#fff" '
        f'font-family="sans-serif">{escape(letter)}</text></svg>'
    )
    return Response(svg, media_type="image/svg+xml", headers={"Cache-Control": "max-age=60"})


class Guard:
    """Pure ASGI: the content policy on every answer, and no writes from pages of other origins."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        foreign = headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin")
        if foreign and scope["method"] not in ("GET", "HEAD"):
            await Response("cross-site request refused", 403)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        await self._app(scope, receive, guarded)
