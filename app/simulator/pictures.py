"""Pictures that articles name by URL, fetched for the page, which may load from here only."""

from collections import OrderedDict

import httpx

from app.simulator.outward import http_client

PICTURE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif"})
_PICTURE_BYTES = 2 << 20
_PICTURE_SECONDS = 4.0
_PICTURES_KEPT = 100


class Pictures:
    """Fetches pictures and remembers the latest."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, bytes] | None] = OrderedDict()
        self._http = http_client(timeout=_PICTURE_SECONDS, follow_redirects=True)

    async def close(self) -> None:
        await self._http.aclose()

    async def get(self, url: str) -> tuple[str, bytes] | None:
        """Media type and bytes; None for what is no picture, too big or not to be had."""
        if url not in self._kept:
            self._kept[url] = await self._fetch(url)
            while len(self._kept) > _PICTURES_KEPT:
                self._kept.popitem(last=False)
        return self._kept[url]

    async def _fetch(self, url: str) -> tuple[str, bytes] | None:
        body = b""
        try:
            async with self._http.stream("GET", url) as answer:
                mime = answer.headers.get("content-type", "").partition(";")[0]
                if answer.status_code != 200 or mime not in PICTURE_TYPES:
                    return None
                async for chunk in answer.aiter_bytes():
                    body += chunk
                    if len(body) > _PICTURE_BYTES:
                        return None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            return None
        return mime, body
