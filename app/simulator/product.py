"""The few questions the simulator may ask the product it serves: why it answered, and its clock."""

from typing import Any

import httpx

from app.simulator.model import Account
from app.simulator.outward import http_client

_SECONDS = 5.0


class Product:
    """Reached at `url` with a read-only `token`; both may be empty, then there is nothing to ask."""

    def __init__(self, url: str, token: str, time_url: str = "") -> None:
        self._url = url.rstrip("/")
        self._time_url = time_url
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = http_client(headers=headers, timeout=_SECONDS)

    async def close(self) -> None:
        await self._http.aclose()

    async def trace(self, account: Account, key: str) -> dict[str, Any]:
        """`{"trace": …}`, or `{"trace": null, "why": …}`; the account's slug is the end of its URL."""
        if not self._url:
            return {"trace": None, "why": "no product URL"}
        slug = httpx.URL(account.url).path.rstrip("/").rpartition("/")[2] if account.url else ""
        try:
            answer = await self._http.get(
                f"{self._url}/api/v1/replies/traces/{key}", headers={"X-Guanxi-Account": slug}
            )
            if answer.status_code != 200:
                return {"trace": None, "why": f"HTTP {answer.status_code}"}
            return {"trace": answer.json()}
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return {"trace": None, "why": str(error) or type(error).__name__}

    async def move_time(self, offset_seconds: float) -> str:
        """Tells the product the same offset. Empty when done, else why it was not."""
        if not self._time_url:
            return "no time URL"
        try:
            answer = await self._http.post(self._time_url, json={"offset_seconds": offset_seconds})
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return str(error) or type(error).__name__
        return "" if answer.is_success else f"HTTP {answer.status_code}"
