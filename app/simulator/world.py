"""Everything the simulator knows and may change, in one place."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from app.core.clock import Clock
from app.core.errors import NotFound
from app.core.ids import SLOTS, Ids
from app.core.rng import secret_bytes, secret_token
from app.simulator.faults import Faults
from app.simulator.live import Hub
from app.simulator.model import FAULT_LINE, Account, Delivery, Follower, Item
from app.simulator.store import Media, Store

MEDIA_SECONDS = 3 * 86400
"""How long a temporary media id lives."""

_WITH_EVENT_KEY = frozenset(
    {
        "SCAN",
        "CLICK",
        "VIEW",
        "view_miniprogram",
        "scancode_push",
        "scancode_waitmsg",
        "pic_sysphoto",
        "pic_photo_or_album",
        "pic_weixin",
        "location_select",
    }
)


def delivery_key(openid: str, create_time: int, event: str, event_key: str, msg_id: str) -> str:
    """The name under which the product keeps a delivery, and its trace.

    `w:m:{MsgId}`, else `w:e:` and 32 hex digits of SHA-256 over the fields of protocol reference
    2.4 joined by newlines.
    """
    if msg_id:
        return f"w:m:{msg_id}"
    fields = [openid, str(create_time), event]
    if event in _WITH_EVENT_KEY:
        fields.append(event_key)
    return "w:e:" + hashlib.sha256("\n".join(fields).encode()).hexdigest()[:32]


class World:
    """Accounts, followers, screens and time.

    Time: `real` is the clock's; `now` is moved by `advance` and is what quotas, grants, tokens,
    media and CreateTime go by. Requests are signed with `real`.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.hub = Hub()
        self.faults = Faults(store)
        self._clock = clock
        self._ids = Ids(clock, int.from_bytes(secret_bytes(2), "big") % SLOTS)
        self._offset = timedelta(seconds=store.get_state("offset_seconds") or 0)

    # time

    def real(self) -> datetime:
        return self._clock.now()

    def now(self) -> datetime:
        return self._clock.now() + self._offset

    def seconds(self) -> float:
        """The moved time as Unix seconds."""
        return self.now().timestamp()

    @property
    def offset_seconds(self) -> float:
        return self._offset.total_seconds()

    def advance(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)
        self.store.put_state("offset_seconds", self.offset_seconds)
        self.hub.tell("time", offset_seconds=self.offset_seconds)

    # names

    def new_id(self) -> str:
        return str(self._ids.new())

    # accounts and followers

    def account(self, appid: str) -> Account:
        account = self.store.find_account(appid)
        if account is None:
            raise NotFound(what=f"公众号 {appid}")
        return account

    def follower(self, appid: str, openid: str) -> Follower:
        follower = self.store.find_follower(appid, openid)
        if follower is None:
            raise NotFound(what=f"粉丝 {openid}")
        return follower

    def save_follower(self, follower: Follower) -> None:
        self.store.save_follower(follower)
        self.hub.tell("follower", appid=follower.appid, openid=follower.openid)

    # screens

    def show(
        self,
        appid: str,
        openid: str,
        sender: str,
        content: Mapping[str, Any],
        **origin: str,
    ) -> dict[str, Any]:
        """Puts one item on a follower's screen; `origin` is `delivery=` or `send=`.

        Media that is gone or never was is marked `missing`, as the client shows a broken picture.
        """
        media_id = content.get("media_id")
        if media_id and self.find_media(appid, media_id) is None:
            content = {**content, "missing": True}
        item = Item.model_validate(
            {"from": sender, "at": self.now().isoformat(), **content, **origin}
        )
        self.store.add_item(appid, openid, item)
        shown = item.shown()
        self.hub.tell("item", appid=appid, openid=openid, item=shown)
        return shown

    def show_fault(self, delivery: Delivery) -> dict[str, Any]:
        return self.show(
            delivery.appid,
            delivery.openid,
            "system",
            {"kind": "fault", "text": FAULT_LINE},
            delivery=delivery.id,
        )

    # media

    def add_media(self, appid: str, kind: str, name: str, mime: str, body: bytes) -> Media:
        media = Media("SIM" + secret_token(30), appid, kind, name, mime, body, self.seconds())
        self.store.save_media(media)
        return media

    def find_media(self, appid: str, media_id: str) -> Media | None:
        """The account's media of that id, unless its three days are over."""
        media = self.store.find_media(media_id)
        if media is None or media.appid != appid:
            return None
        return media if self.seconds() - media.made_at < MEDIA_SECONDS else None
