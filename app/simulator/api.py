"""The JSON API: accounts, followers, what they do, what they see, and what became of deliveries.

Stable: tests and other people's tools rely on it. `docs/simulator.md` describes it.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.core.errors import Invalid, Refusal
from app.core.rng import secret_bytes, secret_token
from app.simulator import buttons, codes, windows
from app.simulator.actions import Action, Phone
from app.simulator.box import Box, base_url, box_of
from app.simulator.faults import Fault
from app.simulator.live import Stream
from app.simulator.model import Account, Follower, Kind, Mode
from app.simulator.sender import new_aes_key

router = APIRouter(prefix="/api")
_Box = Annotated[Box, Depends(box_of)]

_SCREEN_ITEMS = 500
_FILE_BYTES = 10 << 20
_NAMES = ("小林", "小周", "小陈", "小何", "小吴", "小郑", "小许", "小沈")


class UrlNotVerified(Refusal):
    code = "URL_NOT_VERIFIED"
    status = 422
    zh = "URL 验证失败：{problem}"
    en = "The URL did not pass verification: {problem}"


class Taken(Refusal):
    code = "TAKEN"
    zh = "{what} 已存在"
    en = "{what} exists already"


# accounts


class AccountInput(BaseModel):
    """What is left out gets a made-up value on creation, and stays as it is on change."""

    model_config = ConfigDict(extra="forbid")

    appid: str | None = None
    secret: str | None = None
    token: str | None = None
    aes_key: str | None = None
    previous_aes_key: str | None = None
    mode: Mode | None = None
    original_id: str | None = None
    name: str | None = None
    kind: Kind | None = None
    verified: bool | None = None
    url: str | None = None
    attempts: int | None = None
    retry_errors: bool | None = None
    menu_cache_seconds: int | None = None
    verify: bool = True
    """Whether the URL must answer the verification GET before it is saved, as on the platform."""

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_none=True, exclude={"verify"})


def _made_up() -> dict[str, Any]:
    return {
        "appid": "wx" + secret_bytes(8).hex(),
        "secret": secret_bytes(16).hex(),
        "token": secret_bytes(10).hex(),
        "aes_key": new_aes_key(),
        "original_id": "gh_" + secret_bytes(6).hex(),
    }


def _checked(fields: dict[str, Any]) -> Account:
    try:
        return Account.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise Invalid(field=".".join(map(str, first["loc"])), problem=first["msg"]) from error


async def _save(box: Box, account: Account, *, verify: bool) -> dict[str, Any]:
    if account.url and verify:
        problem = await box.sender.verify(account)
        if problem:
            raise UrlNotVerified(problem=problem)
    box.world.store.save_account(account)
    box.world.hub.tell("account", appid=account.appid)
    return account.model_dump()


@router.get("/accounts")
async def list_accounts(box: _Box) -> dict[str, Any]:
    return {"accounts": [account.model_dump() for account in box.world.store.list_accounts()]}


@router.post("/accounts", status_code=201)
async def create_account(given: AccountInput, box: _Box) -> dict[str, Any]:
    account = _checked({**_made_up(), **given.given()})
    if box.world.store.find_account(account.appid):
        raise Taken(what=account.appid)
    return await _save(box, account, verify=given.verify)


@router.get("/accounts/{appid}")
async def get_account(appid: str, box: _Box) -> dict[str, Any]:
    return box.account(appid).model_dump()


@router.patch("/accounts/{appid}")
async def change_account(appid: str, given: AccountInput, box: _Box) -> dict[str, Any]:
    """A new EncodingAESKey keeps the one before as `previous_aes_key`."""
    before = box.account(appid)
    fields = {**before.model_dump(), **given.given(), "appid": appid}
    if fields["aes_key"] != before.aes_key and given.previous_aes_key is None:
        fields["previous_aes_key"] = before.aes_key
    account = _checked(fields)
    touched = given.url is not None or account.token != before.token
    return await _save(box, account, verify=given.verify and touched)


@router.delete("/accounts/{appid}", status_code=204)
async def delete_account(appid: str, box: _Box) -> Response:
    box.account(appid)
    box.world.store.delete_account(appid)
    buttons.save_menus(box.world.store, appid, None, [])
    box.world.hub.tell("account", appid=appid)
    return Response(status_code=204)


@router.get("/accounts/{appid}/codes")
async def list_codes(appid: str, box: _Box) -> dict[str, Any]:
    """The account's QR codes, the newest first."""
    box.account(appid)
    return {
        "codes": [
            {**code._asdict(), "alive": codes.is_alive(box.world, code)}
            for code in codes.of_account(box.world, appid)
        ]
    }


@router.post("/accounts/{appid}/files", status_code=201)
async def upload_file(
    appid: str, request: Request, box: _Box, kind: str = "image", name: str = "file"
) -> dict[str, Any]:
    """The body is the file; its media id can be used as `file` of an action."""
    box.account(appid)
    if kind not in ("image", "voice", "video"):
        raise Invalid(field="kind", problem="image, voice or video")
    body = await request.body()
    if not 0 < len(body) <= _FILE_BYTES:
        raise Invalid(field="body", problem=f"between 1 byte and {_FILE_BYTES} bytes")
    mime = request.headers.get("content-type", "application/octet-stream")
    media = box.world.add_media(appid, kind, name[:100], mime[:100], body)
    return {"file": media.media_id, "media_id": media.media_id}


# followers


class FollowerInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(None, min_length=1, max_length=40)
    openid: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{28}$")
    following: bool | None = None
    """Sets the state as if they had followed long ago: no event is sent."""
    tags: list[int] | None = Field(None, max_length=20)


def _told(box: Box, follower: Follower) -> dict[str, Any]:
    return {
        **follower.model_dump(
            include={"openid", "name", "following", "tags", "qr_scene", "remark"}
        ),
        "windows": windows.shown(follower, box.world.seconds()),
    }


@router.get("/accounts/{appid}/followers")
async def list_followers(
    appid: str, box: _Box, limit: Annotated[int, Query(ge=1, le=100_000)] = 1000
) -> dict[str, Any]:
    """The newest `limit`, in the order they were made."""
    box.account(appid)
    return {"followers": [_told(box, f) for f in box.world.store.list_followers(appid, limit)]}


@router.post("/accounts/{appid}/followers", status_code=201)
async def create_follower(appid: str, given: FollowerInput, box: _Box) -> dict[str, Any]:
    box.account(appid)
    openid = given.openid or "oSIM" + secret_token(24)[:24]
    if box.world.store.find_follower(appid, openid):
        raise Taken(what=openid)
    number = box.world.store.count_followers(appid)
    follower = Follower(appid=appid, openid=openid, name=given.name or _NAMES[number % len(_NAMES)])
    return _change(box, follower, given)


@router.get("/accounts/{appid}/followers/{openid}")
async def get_follower(appid: str, openid: str, box: _Box) -> dict[str, Any]:
    return _told(box, box.follower(appid, openid))


@router.patch("/accounts/{appid}/followers/{openid}")
async def change_follower(
    appid: str, openid: str, given: FollowerInput, box: _Box
) -> dict[str, Any]:
    return _change(box, box.follower(appid, openid), given)


def _change(box: Box, follower: Follower, given: FollowerInput) -> dict[str, Any]:
    if given.name is not None:
        follower.name = given.name
    if given.tags is not None:
        follower.tags = given.tags
    if given.following is not None:
        follower.following = given.following
        follower.subscribed_at = int(box.world.seconds()) if given.following else 0
    box.world.save_follower(follower)
    return _told(box, follower)


@router.delete("/accounts/{appid}/followers/{openid}", status_code=204)
async def delete_follower(appid: str, openid: str, box: _Box) -> Response:
    box.follower(appid, openid)
    box.world.store.delete_follower(appid, openid)
    box.world.hub.tell("account", appid=appid)
    return Response(status_code=204)


@router.post("/accounts/{appid}/followers/{openid}/actions")
async def act(
    appid: str,
    openid: str,
    action: Action,
    request: Request,
    box: _Box,
    wait: bool = False,
) -> dict[str, Any]:
    """Does something with the phone. With `wait` the answer comes when every delivery is settled."""
    account, follower = box.account(appid), box.follower(appid, openid)
    deliveries = Phone(box.world, account, follower, base_url(request)).do(action)
    for delivery in deliveries:
        box.sender.send(delivery)
    ids = [delivery.id for delivery in deliveries]
    if wait:
        for delivery_id in ids:
            await box.sender.settled(delivery_id)
    return {"delivery": ids[0] if ids else None, "deliveries": ids}


@router.get("/accounts/{appid}/followers/{openid}/screen")
async def get_screen(
    appid: str,
    openid: str,
    box: _Box,
    limit: Annotated[int, Query(ge=1, le=_SCREEN_ITEMS)] = _SCREEN_ITEMS,
) -> dict[str, Any]:
    """What the follower sees, the oldest first; the menu is there while they follow."""
    account, follower = box.account(appid), box.follower(appid, openid)
    now = box.world.seconds()
    menu = buttons.load_menu(box.world.store, account, follower, now)
    box.world.store.save_follower(follower)
    return {
        "items": [item.shown() for item in box.world.store.list_items(appid, openid, limit)],
        "menu": menu if follower.following else None,
        "following": follower.following,
        "typing": follower.typing_until > now,
        "windows": windows.shown(follower, now),
    }


# deliveries


@router.get("/deliveries")
async def list_deliveries(
    box: _Box,
    appid: str = "",
    openid: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> dict[str, Any]:
    """The newest first."""
    found = box.world.store.list_deliveries(appid, openid, limit)
    return {"deliveries": [delivery.summary() for delivery in found]}


@router.get("/deliveries/{delivery_id}")
async def get_delivery(delivery_id: str, box: _Box, wait: bool = False) -> dict[str, Any]:
    if wait:
        await box.sender.settled(delivery_id)
    return box.delivery(delivery_id).detail()


class RepeatInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    url: str = Field("", max_length=2000)
    """Another process of the same server; empty: the account's own URL."""


@router.post("/deliveries/{delivery_id}/repeat")
async def repeat_delivery(
    delivery_id: str, box: _Box, given: RepeatInput | None = None
) -> dict[str, Any]:
    """Sends it again with the same content, signed anew, and answers when that is done."""
    delivery = box.delivery(delivery_id)
    url = (given.url if given else "") or box.account(delivery.appid).url
    if not url:
        raise Invalid(field="url", problem="the account has no callback URL")
    attempt = await box.sender.repeat(delivery, url)
    return {"attempt": attempt.detail(), "same_answer": delivery.same_answer}


@router.get("/deliveries/{delivery_id}/trace")
async def get_trace(delivery_id: str, box: _Box) -> dict[str, Any]:
    """Why the product answered as it did, asked from the product."""
    delivery = box.delivery(delivery_id)
    answer = await box.product.trace(box.account(delivery.appid), delivery.key)
    return {"key": delivery.key, **answer}


@router.get("/calls")
async def list_calls(
    box: _Box, appid: str = "", limit: Annotated[int, Query(ge=1, le=500)] = 50
) -> dict[str, Any]:
    """The latest calls of the platform's API, the newest first, as far as this process saw them."""
    return {"calls": box.calls.latest(appid, limit)}


# trouble and time


class FaultsInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    faults: list[Fault] = Field(max_length=100)


@router.get("/faults")
async def get_faults(box: _Box) -> dict[str, Any]:
    return {"faults": box.world.faults.listed()}


@router.put("/faults")
async def put_faults(given: FaultsInput, box: _Box) -> dict[str, Any]:
    """Replaces all faults in force."""
    box.world.faults.put(given.faults)
    box.world.hub.tell("faults")
    return {"faults": box.world.faults.listed()}


class TimeInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    advance_seconds: float = Field(ge=-366 * 86400, le=366 * 86400)


def _time(box: Box) -> dict[str, Any]:
    return {
        "now": box.world.now().isoformat(),
        "real": box.world.real().isoformat(),
        "offset_seconds": box.world.offset_seconds,
    }


@router.get("/time")
async def get_time(box: _Box) -> dict[str, Any]:
    return _time(box)


@router.post("/time")
async def move_time(given: TimeInput, box: _Box) -> dict[str, Any]:
    """Moves the clock of grants, quotas, tokens and media, and the product's by the same offset."""
    box.world.advance(given.advance_seconds)
    problem = await box.product.move_time(box.world.offset_seconds)
    return {**_time(box), "product": problem or "moved"}


@router.get("/stream")
async def stream(box: _Box) -> Response:
    """Server-sent events: `item`, `delivery`, `call`, `follower`, `account`, `menu`, `codes`, `faults`,
    `time`, and `resync` when the listener was too slow and should load everything again."""
    return Stream(box.world.hub)
