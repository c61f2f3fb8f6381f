"""What a follower does with the phone, and the deliveries that come of it."""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.errors import Invalid, Refusal
from app.simulator import buttons, codes, markup, samples, windows
from app.simulator.model import Account, Delivery, Follower
from app.simulator.store import Media
from app.simulator.windows import Grant
from app.simulator.world import World, delivery_key


class NotFollowing(Refusal):
    code = "NOT_FOLLOWING"
    zh = "请先关注公众号"
    en = "Follow the account first"


class AlreadyFollowing(Refusal):
    code = "ALREADY_FOLLOWING"
    zh = "已经关注"
    en = "Already following"


class NotForThisAccount(Refusal):
    code = "NOT_FOR_THIS_ACCOUNT"
    zh = "只有已认证的服务号才有：{what}"
    en = "Only verified service accounts have this: {what}"


class Place(BaseModel):
    latitude: float = Field(31.230416, ge=-90, le=90)
    longitude: float = Field(121.473701, ge=-180, le=180)
    scale: int = Field(15, ge=0, le=28)
    label: str = Field("上海市黄浦区人民大道200号", max_length=200)
    name: str = Field("人民广场", max_length=100)


class Action(BaseModel):
    """One thing done with the phone. Which fields count depends on `do`; the rest has defaults."""

    model_config = ConfigDict(extra="forbid")

    do: Literal[
        "text", "option", "follow", "unfollow", "scan", "menu", "picture", "voice", "video",
        "position", "link", "location", "raw",
    ]  # fmt: skip
    text: str = Field("", max_length=20_000)
    id: str = Field("", max_length=200)
    """Of the option tapped."""
    scene: str = Field("", max_length=64)
    ticket: str = Field("", max_length=400)
    key: str = Field("", max_length=2000)
    path: list[int] | None = Field(None, min_length=1, max_length=2)
    type: str = Field("", max_length=30)
    """Of a button that is no longer in the menu: an old copy of a menu shows those still."""
    result: str = Field("https://example.com/scanned", max_length=2000)
    """What a scanning button reads."""
    scan_type: Literal["qrcode", "barcode"] = "qrcode"
    file: str = ""
    """Media id of an uploaded file."""
    preset: str = samples.PICTURES[0]
    pictures: int = Field(1, ge=1, le=9)
    place: Place = Field(default_factory=Place)
    title: str = Field("周末咖啡市集", max_length=200)
    description: str = Field("本周六，人民广场见", max_length=500)
    url: str = Field("https://example.com/fair", max_length=2000)
    from_article: bool = False
    """The chat was opened from an article: MsgDataId and Idx come along."""
    xml: str = Field("", max_length=200_000)


class Phone:
    """Does an action for one follower. `do` returns the deliveries, not yet sent."""

    def __init__(self, world: World, account: Account, follower: Follower, base_url: str) -> None:
        self._world = world
        self._account = account
        self._follower = follower
        self._base = base_url
        self._out: list[Delivery] = []

    def do(self, action: Action) -> list[Delivery]:
        """Shows what the follower sees of it at once, records grants, and makes the deliveries.

        Raises `NotFollowing`, `AlreadyFollowing`, `NotFound`, `Invalid`, `NotForThisAccount`.
        """
        if not self._follower.following and action.do not in ("follow", "scan", "raw"):
            raise NotFollowing
        _DOERS[action.do](self, action)
        self._world.save_follower(self._follower)
        return self._out

    # words and things sent

    def _text(self, action: Action) -> None:
        if not action.text:
            raise Invalid(field="text", problem="must not be empty")
        fields: list[tuple[str, markup.Value]] = [("Content", action.text)]
        self._message("text", fields, {"kind": "text", "text": action.text}, action)

    def _option(self, action: Action) -> None:
        if not action.text or not action.id:
            raise Invalid(field="id", problem="an option has an id and a text")
        after: list[tuple[str, markup.Value]] = [("bizmsgmenuid", action.id)]
        content: list[tuple[str, markup.Value]] = [("Content", action.text)]
        shown = {"kind": "text", "text": action.text}
        self._message("text", content, shown, action, after=after, grant="menu")

    def _picture(self, action: Action) -> None:
        self._send_picture(self._file(action, "image", lambda: self._preset(action)), action)

    def _send_picture(self, media: Media, action: Action) -> None:
        url = f"{self._base}media/{media.media_id}"
        fields: list[tuple[str, markup.Value]] = [("PicUrl", url), ("MediaId", media.media_id)]
        self._message("image", fields, {"kind": "image", "media_id": media.media_id}, action)

    def _preset(self, action: Action) -> samples.Sample:
        if action.preset not in samples.PICTURES:
            raise Invalid(field="preset", problem=f"one of {', '.join(samples.PICTURES)}")
        return samples.picture(action.preset)

    def _voice(self, action: Action) -> None:
        media = self._file(action, "voice", samples.voice)
        fields: list[tuple[str, markup.Value]] = [
            ("MediaId", media.media_id),
            ("Format", "amr"),
            ("MediaId16K", media.media_id),
        ]
        self._message("voice", fields, {"kind": "voice", "media_id": media.media_id}, action)

    def _video(self, action: Action) -> None:
        media = self._file(action, "video", samples.video)
        thumb = self._store_file("thumb", samples.picture(samples.PICTURES[0]))
        fields: list[tuple[str, markup.Value]] = [
            ("MediaId", media.media_id),
            ("ThumbMediaId", thumb.media_id),
        ]
        self._message("video", fields, {"kind": "video", "media_id": media.media_id}, action)

    def _position(self, action: Action) -> None:
        place = action.place
        fields: list[tuple[str, markup.Value]] = [
            ("Location_X", place.latitude),
            ("Location_Y", place.longitude),
            ("Scale", place.scale),
            ("Label", place.label),
        ]
        self._message("location", fields, {"kind": "location", **place.model_dump()}, action)

    def _link(self, action: Action) -> None:
        fields: list[tuple[str, markup.Value]] = [
            ("Title", action.title),
            ("Description", action.description),
            ("Url", action.url),
        ]
        shown = {
            "kind": "link",
            "title": action.title,
            "description": action.description,
            "url": action.url,
        }
        self._message("link", fields, shown, action)

    # coming and going

    def _follow(self, action: Action) -> None:
        if self._follower.following:
            raise AlreadyFollowing
        code = codes.resolve(self._world, self._account, action.scene, action.ticket)
        self._begin(code)

    def _begin(self, code: codes.Code | None) -> None:
        follower = self._follower
        follower.following = True
        follower.subscribed_at = int(self._world.seconds())
        follower.subscribe_scene = "ADD_SCENE_QR_CODE" if code else "ADD_SCENE_SEARCH"
        follower.qr_scene = code.scene if code else ""
        follower.menu_loaded_at = 0  # following again loads the menu afresh
        windows.grant(follower, "subscribe", self._world.seconds())
        if code:
            self._event(
                "subscribe", [("EventKey", f"qrscene_{code.scene}"), ("Ticket", code.ticket)]
            )
        else:
            self._event("subscribe", [("EventKey", "")])

    def _unfollow(self, _: Action) -> None:
        self._follower.following = False
        self._follower.buckets.clear()
        self._event("unsubscribe", [("EventKey", "")], answerable=False)

    def _scan(self, action: Action) -> None:
        if not action.scene and not action.ticket:
            raise Invalid(field="scene", problem="a code has a scene")
        code = codes.resolve(self._world, self._account, action.scene, action.ticket)
        if code is None:
            self._show("system", {"kind": "notice", "text": "二维码已过期"})
        elif not self._follower.following:
            self._begin(code)
        else:
            windows.grant(self._follower, "scan", self._world.seconds())
            self._event("SCAN", [("EventKey", code.scene), ("Ticket", code.ticket)])

    def _location(self, action: Action) -> None:
        if not (self._account.kind == "service" and self._account.verified):
            raise NotForThisAccount(what="LOCATION")
        fields: list[tuple[str, markup.Value]] = [
            ("Latitude", action.place.latitude),
            ("Longitude", action.place.longitude),
            ("Precision", 65.0),
        ]
        self._event("LOCATION", fields)

    # the menu

    def _menu(self, action: Action) -> None:
        if action.type:
            button = {"type": action.type, "key": action.key, "url": action.key}
        else:
            menu = buttons.load_menu(
                self._world.store, self._account, self._follower, self._world.seconds()
            )
            button = {
                **buttons.find_button(menu, key=action.key, path=action.path),
                "menuid": (menu or {}).get("menuid", 0),
            }
        kind = str(button.get("type", ""))
        tap = _TAPS.get(kind)
        if tap is None:
            raise Invalid(field="type", problem=f"no button type {kind!r}")
        tap(self, button, action)

    def _tap_click(self, button: buttons.Menu, _: Action) -> None:
        windows.grant(self._follower, "menu", self._world.seconds())
        self._event("CLICK", [("EventKey", str(button["key"]))])

    def _tap_view(self, button: buttons.Menu, _: Action) -> None:
        url = str(button["url"])
        self._show("system", {"kind": "page", "url": url})
        self._event("VIEW", [("EventKey", url), *_menu_id(button)], answerable=False)

    def _tap_miniprogram(self, button: buttons.Menu, _: Action) -> None:
        path = str(button.get("pagepath") or button.get("url") or "")
        self._show("system", {"kind": "miniprogram_opened", "path": path})
        self._event("view_miniprogram", [("EventKey", path), *_menu_id(button)], answerable=False)

    def _tap_scan(self, button: buttons.Menu, action: Action) -> None:
        kind = str(button["type"])
        windows.grant(self._follower, "menu", self._world.seconds())
        if kind == "scancode_push" and action.result.startswith(("http://", "https://")):
            self._show("system", {"kind": "page", "url": action.result})
        result = action.result
        if action.scan_type == "barcode" and "," not in result:
            result = f"CODE_128,{result}"
        info: list[tuple[str, markup.Value]] = [
            ("ScanType", action.scan_type),
            ("ScanResult", result),
        ]
        self._event(kind, [("EventKey", str(button["key"])), ("ScanCodeInfo", info)])

    def _tap_pictures(self, button: buttons.Menu, action: Action) -> None:
        """The event announces the pictures; they come as messages of their own."""
        pictures = [
            self._file(action, "image", lambda: self._preset(action))
            for _ in range(action.pictures)
        ]
        sums: list[tuple[str, markup.Value]] = [
            ("item", [("PicMd5Sum", hashlib.md5(m.body, usedforsecurity=False).hexdigest())])
            for m in pictures
        ]
        info: list[tuple[str, markup.Value]] = [("Count", len(pictures)), ("PicList", sums)]
        self._event(str(button["type"]), [("EventKey", str(button["key"])), ("SendPicsInfo", info)])
        for media in pictures:
            self._send_picture(media, action)

    def _tap_location(self, button: buttons.Menu, action: Action) -> None:
        """The event announces the place; it comes as a message of its own."""
        place = action.place
        info: list[tuple[str, markup.Value]] = [
            ("Location_X", str(place.latitude)),
            ("Location_Y", str(place.longitude)),
            ("Scale", str(place.scale)),
            ("Label", place.label),
            ("Poiname", place.name),
        ]
        self._event(
            "location_select", [("EventKey", str(button["key"])), ("SendLocationInfo", info)]
        )
        self._position(action)

    def _tap_media(self, button: buttons.Menu, _: Action) -> None:
        """The platform itself sends the material; the account's server hears nothing of it."""
        media_id = str(button.get("media_id", ""))
        media = self._world.store.find_media(media_id)
        self._show("account", {"kind": media.kind if media else "image", "media_id": media_id})

    def _tap_article(self, button: buttons.Menu, _: Action) -> None:
        """The client opens the article; the account's server hears nothing of it."""
        article = str(button.get("article_id") or button.get("media_id") or "")
        self._show("system", {"kind": "article_opened", "article_id": article})

    # bodies as they are

    def _raw(self, action: Action) -> None:
        """Any body at all; what can be read of it names the delivery."""
        xml = action.xml
        delivery = self._delivery(
            _told(xml, "MsgType") or "raw",
            openid=_told(xml, "FromUserName"),
            event=_told(xml, "Event"),
            event_key=_told(xml, "EventKey"),
            msg_id=_told(xml, "MsgId"),
        )
        stamp = _told(xml, "CreateTime")
        if stamp.isdecimal() and len(stamp) < 12:
            delivery.create_time = int(stamp)
        delivery.plain = xml
        self._push(delivery)

    # making deliveries

    def _message(
        self,
        msg_type: str,
        fields: list[tuple[str, markup.Value]],
        shown: dict[str, Any],
        action: Action,
        *,
        after: list[tuple[str, markup.Value]] | None = None,
        grant: Grant = "message",
    ) -> None:
        now = self._world.seconds()
        windows.grant(self._follower, grant, now)
        self._follower.last_contact_at = now
        delivery = self._delivery(msg_type, msg_id=self._world.new_id())
        rest: list[tuple[str, markup.Value]] = [("MsgId", int(delivery.msg_id)), *(after or [])]
        if action.from_article:
            rest += [("MsgDataId", f"{self._world.new_id()}_1"), ("Idx", 1)]
        self._finish(delivery, [*fields, *rest])
        self._show("me", shown, delivery=delivery.id)

    def _event(
        self, event: str, fields: list[tuple[str, markup.Value]], *, answerable: bool = True
    ) -> None:
        delivery = self._delivery("event", event=event)
        delivery.answerable = answerable
        first = fields[0]
        delivery.event_key = str(first[1]) if first[0] == "EventKey" else ""
        self._finish(delivery, [("Event", event), *fields])

    def _delivery(self, msg_type: str, *, openid: str = "", **fields: str) -> Delivery:
        return Delivery(
            id=self._world.new_id(),
            appid=self._account.appid,
            openid=openid or self._follower.openid,
            made_at=self._world.real().isoformat(),
            msg_type=msg_type,
            create_time=int(self._world.seconds()),
            plain="",
            key="",
            **fields,
        )

    def _finish(self, delivery: Delivery, fields: list[tuple[str, markup.Value]]) -> None:
        delivery.plain = markup.write(
            [
                ("ToUserName", self._account.original_id),
                ("FromUserName", delivery.openid),
                ("CreateTime", delivery.create_time),
                ("MsgType", delivery.msg_type),
                *fields,
            ]
        )
        self._push(delivery)

    def _push(self, delivery: Delivery) -> None:
        delivery.key = delivery_key(
            delivery.openid,
            delivery.create_time,
            delivery.event,
            delivery.event_key,
            delivery.msg_id,
        )
        self._out.append(delivery)

    def _show(self, sender: str, content: dict[str, Any], **origin: str) -> None:
        self._world.show(self._account.appid, self._follower.openid, sender, content, **origin)

    # files

    def _file(self, action: Action, kind: str, default: Callable[[], samples.Sample]) -> Media:
        if not action.file:
            return self._store_file(kind, default())
        media = self._world.find_media(self._account.appid, action.file)
        if media is None:
            raise Invalid(field="file", problem="upload it first")
        return media

    def _store_file(self, kind: str, sample: samples.Sample) -> Media:
        return self._world.add_media(self._account.appid, kind, *sample)


def _told(xml: str, field: str) -> str:
    """The first value of a field in a body that may be broken."""
    found = re.search(rf"<{field}>(?:<!\[CDATA\[)?([^<\]]*)", xml)
    return found[1].strip() if found else ""


def _menu_id(button: buttons.Menu) -> list[tuple[str, markup.Value]]:
    return [("MenuId", int(button.get("menuid") or 0))]


_DOERS: dict[str, Callable[[Phone, Action], None]] = {
    "text": Phone._text,
    "option": Phone._option,
    "picture": Phone._picture,
    "voice": Phone._voice,
    "video": Phone._video,
    "position": Phone._position,
    "link": Phone._link,
    "follow": Phone._follow,
    "unfollow": Phone._unfollow,
    "scan": Phone._scan,
    "location": Phone._location,
    "menu": Phone._menu,
    "raw": Phone._raw,
}

_TAPS: dict[str, Callable[[Phone, buttons.Menu, Action], None]] = {
    "click": Phone._tap_click,
    "view": Phone._tap_view,
    "miniprogram": Phone._tap_miniprogram,
    "scancode_push": Phone._tap_scan,
    "scancode_waitmsg": Phone._tap_scan,
    "pic_sysphoto": Phone._tap_pictures,
    "pic_photo_or_album": Phone._tap_pictures,
    "pic_weixin": Phone._tap_pictures,
    "location_select": Phone._tap_location,
    "media_id": Phone._tap_media,
    "view_limited": Phone._tap_article,
    "article_id": Phone._tap_article,
    "article_view_limited": Phone._tap_article,
}
