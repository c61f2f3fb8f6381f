"""The platform's API, as far as we call it. Protocol reference section 4."""

from collections.abc import Mapping
from typing import Any, Literal

import httpx

from app.core.log import get_logger
from app.wechat.errors import WechatError
from app.wechat.http import call
from app.wechat.tokens import ApiCredentials, Tokens

_LOG = get_logger(__name__)


class WechatApi:
    """One per process; `for_account` gives the calls of one official account."""

    def __init__(self, http: httpx.AsyncClient, base: str, tokens: Tokens) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._tokens = tokens

    def for_account(self, credentials: ApiCredentials) -> "AccountApi":
        return AccountApi(self._http, self._base, self._tokens, credentials)


class AccountApi:
    """Calls of one account.

    All raise `WechatError` (the platform refused), `NotReached` (certainly not arrived),
    `OutcomeUnknown` (sent, no answer) or `TokenUnavailable`. A refused access token is replaced and
    the call made once more: a refusal is an answer, so nothing can happen twice.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        base: str,
        tokens: Tokens,
        credentials: ApiCredentials,
    ) -> None:
        self._http = http
        self._base = base
        self._tokens = tokens
        self._credentials = credentials

    async def send_custom(self, body: Mapping[str, Any]) -> None:
        """POST /cgi-bin/message/custom/send. There is no idempotency key: never repeat an
        `OutcomeUnknown`."""
        await self._call("POST", "/cgi-bin/message/custom/send", body=body)

    async def create_menu(self, menu: Mapping[str, Any]) -> None:
        """POST /cgi-bin/menu/create; replaces the default menu."""
        await self._call("POST", "/cgi-bin/menu/create", body=menu)

    async def get_menu(self) -> dict[str, Any] | None:
        """GET /cgi-bin/menu/get; None when there is none made by the API (46003)."""
        try:
            return await self._call("GET", "/cgi-bin/menu/get")
        except WechatError as error:
            if error.code == 46003:
                return None
            raise

    async def delete_menu(self) -> None:
        """GET /cgi-bin/menu/delete; conditional menus go too."""
        await self._call("GET", "/cgi-bin/menu/delete")

    async def user_info(self, openid: str) -> dict[str, Any]:
        """GET /cgi-bin/user/info: `subscribe`, `subscribe_time`, `unionid`, … no names since 2021."""
        return await self._call("GET", "/cgi-bin/user/info", {"openid": openid, "lang": "zh_CN"})

    async def create_code(self, scene: str, seconds: int | None = None) -> dict[str, Any]:
        """POST /cgi-bin/qrcode/create with a text of 1 to 64 characters as the scene: `ticket`, `url`.

        Without `seconds` it lasts for ever, of which an account may have 100,000.
        """
        body: dict[str, Any] = {"action_info": {"scene": {"scene_str": scene}}}
        if seconds is None:
            body["action_name"] = "QR_LIMIT_STR_SCENE"
        else:
            body |= {"action_name": "QR_STR_SCENE", "expire_seconds": seconds}
        return await self._call("POST", "/cgi-bin/qrcode/create", body=body)

    async def callback_ips(self) -> list[str]:
        """GET /cgi-bin/getcallbackip: where deliveries come from."""
        answer = await self._call("GET", "/cgi-bin/getcallbackip")
        return [str(address) for address in answer.get("ip_list", [])]

    async def _call(
        self,
        method: Literal["GET", "POST"],
        path: str,
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        token = await self._tokens.get(self._credentials)
        try:
            return await self._with_token(token, method, path, params, body)
        except WechatError as error:
            if not error.meaning.refresh_token:
                raise
            _LOG.info("wechat.token_refused", path=path, errcode=error.code, rid=error.rid)
        token = await self._tokens.replace(self._credentials, refused=token)
        return await self._with_token(token, method, path, params, body)

    async def _with_token(
        self,
        token: str,
        method: Literal["GET", "POST"],
        path: str,
        params: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
    ) -> dict[str, Any]:
        query = {"access_token": token, **(params or {})}
        return await call(self._http, method, f"{self._base}{path}", params=query, body=body)
