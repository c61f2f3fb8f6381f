"""Opens the sample shop once the server answers: at the platform, and its replies in the product.

All of it may be done again at each start: what is there already stays, chats and changed rules too.
"""

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import segno.helpers
from sqlalchemy import select

from app.cli.demo import shop
from app.cli.demo.registration import Registration
from app.cli.office import Office, open_office
from app.core.actions import ActionRegistry
from app.core.errors import AppError
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.events import Events
from app.db.tx import Tx
from app.engines.replies.actions import register
from app.engines.replies.book import Book
from app.engines.replies.models import Rule
from app.engines.replies.service import Replies
from app.engines.support.actions import HandOff
from app.wechat.client import AccountApi, WechatApi
from app.wechat.token_store import SqlTokenStore
from app.wechat.tokens import AccountKeys, Tokens

START_SECONDS = 60.0
"""How long the server may take until it answers, and then until it knows the replies."""
_LOOK_SECONDS = 0.1
_CALL_SECONDS = 10.0


class NotOpened(AppError):
    code = "DEMO_NOT_OPENED"
    zh = "演示没能开起来：{problem}"
    en = "The demo could not be opened: {problem}"


async def open_shop(settings: Settings, url: str, registration: Registration) -> None:
    """Returns when the shop answers. `url` is where server and simulator are reached.

    Raises `NotOpened`, and what the platform refuses.
    """
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=_CALL_SECONDS) as http:
        await _until_ready(http)
        box = SimulatorClient(http, registration.appid)
        await box.put_account(registration, f"{url}/wechat/{shop.SLUG}")
        async with open_office(settings) as office:
            await _publish(_platform_api(office, http, registration), box)
            await _put_replies(office, box, registration)
        await box.put_followers()
        await _until_known(http, registration)


class SimulatorClient:
    """The simulator's JSON API, as far as the shop needs it."""

    def __init__(self, http: httpx.AsyncClient, appid: str) -> None:
        self._http = http
        self._appid = appid

    async def put_account(self, registration: Registration, callback: str) -> None:
        """Registers the shop's account with its keys; one that is known gets this callback URL."""
        if (await self._http.get(self._path())).status_code == 200:
            await self._call("PATCH", self._path(), json={"url": callback})
            return
        account = {
            "appid": registration.appid,
            "secret": registration.secret,
            "token": registration.token,
            "aes_key": registration.aes_key,
            "original_id": registration.original_id,
            "name": shop.NAME,
            "url": callback,
        }
        await self._call("POST", "/simulator/api/accounts", json=account)

    async def scenes(self) -> set[str]:
        """Of the codes made so far."""
        codes = (await self._call("GET", self._path("/codes")))["codes"]
        return {code["scene"] for code in codes}

    async def has_media(self, media_id: str) -> bool:
        return (await self._http.get(f"/simulator/media/{media_id}")).status_code == 200

    async def upload(self, name: str, picture: bytes) -> str:
        """The media id."""
        answer = await self._call(
            "POST",
            self._path("/files"),
            params={"kind": "image", "name": name},
            content=picture,
            headers={"content-type": "image/png"},
        )
        return str(answer["media_id"])

    async def put_followers(self) -> None:
        """A few people, none of whom follows yet; unless somebody is there."""
        if (await self._call("GET", self._path("/followers")))["followers"]:
            return
        for name in shop.FOLLOWERS:
            await self._call("POST", self._path("/followers"), json={"name": name})

    def _path(self, rest: str = "") -> str:
        return f"/simulator/api/accounts/{self._appid}{rest}"

    async def _call(self, method: str, path: str, **request: Any) -> Any:
        answer = await self._http.request(method, path, **request)
        if not answer.is_success:
            raise NotOpened(problem=f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer.json()


def _platform_api(
    office: Office, http: httpx.AsyncClient, registration: Registration
) -> AccountApi:
    base = office.settings.wechat_api_base
    tokens = Tokens(http, base, SqlTokenStore(office.database, office.vault), office.clock)
    keys = AccountKeys(registration.account_id, registration.appid, registration.secret)
    return WechatApi(http, base, tokens).for_account(keys)


async def _publish(api: AccountApi, box: SimulatorClient) -> None:
    """Menu and codes, by the product's own client."""
    if await api.get_menu() is None:
        await api.create_menu(shop.MENU)
    known = await box.scenes()
    for scene in reversed(shop.CODES):  # the newest is listed first
        if scene not in known:
            await api.create_code(scene)


async def _put_replies(office: Office, box: SimulatorClient, registration: Registration) -> None:
    """Everything at the first start; later only the picture, when the platform has it no more."""
    account_id = registration.account_id
    replies = _replies(office)
    rule = await office.database.read(lambda tx: _wifi_rule(tx, account_id))
    if rule is None and await office.database.read(lambda tx: _has_rules(tx, account_id)):
        return  # somebody deleted it
    if rule is not None and await box.has_media(_media_id(rule.answers)):
        return
    media_id = await box.upload("wifi.png", wifi_picture())

    async def put(tx: Tx) -> None:
        if rule is None:
            await replies.import_many(
                tx,
                CLI,
                account_id,
                rules=shop.rules(media_id),
                bindings=shop.bindings(),
                flows=shop.flows(),
            )
        else:
            changed = shop.wifi_rule(media_id)
            await replies.rules.update(tx, CLI, account_id, rule.id, changed, version=rule.version)

    await office.database.transaction(put)


def _replies(office: Office) -> Replies:
    actions = ActionRegistry([HandOff])
    register(actions, Book(office.database, actions, office.clock))
    return Replies(office.ids, office.clock, actions, Events(office.clock), office.audit)


async def _wifi_rule(tx: Tx, account_id: int) -> Any:
    return await tx.first(
        select(Rule.id, Rule.version, Rule.answers).where(
            Rule.account_id == account_id, Rule.name == shop.WIFI_RULE
        )
    )


async def _has_rules(tx: Tx, account_id: int) -> bool:
    return await tx.value(select(Rule.id).where(Rule.account_id == account_id).limit(1)) is not None


def _media_id(answers: Any) -> str:
    """The picture that a rule sends; empty when it has been changed to send none."""
    for answer in answers:
        for action in answer:
            if "media_id" in action["with"]:
                return str(action["with"]["media_id"])
    return ""


def wifi_picture() -> bytes:
    """The network's QR code as a PNG."""
    name, password = shop.WIFI
    code = segno.helpers.make_wifi(ssid=name, password=password, security="WPA")
    picture = io.BytesIO()
    code.save(picture, kind="png", scale=8, dark="#3b2a20")
    return picture.getvalue()


async def _until_ready(http: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    await _until(ready, "the server does not answer")


async def _until_known(http: httpx.AsyncClient, registration: Registration) -> None:
    """The server reads new rules within two seconds; until then it would not understand."""

    async def known() -> bool:
        answer = await http.post(
            "/api/v1/replies/dry-run",
            json={"event": {"on": "follow"}},
            headers={"authorization": f"Bearer {registration.trace_token}"},
        )
        return answer.status_code == 200 and answer.json()["binding_id"] is not None

    await _until(known, "the server does not know the shop's replies")


async def _until(done: Callable[[], Awaitable[bool]], problem: str) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await done():  # noqa: ASYNC110  # what is waited for is another process
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError as error:
        raise NotOpened(problem=problem) from error
