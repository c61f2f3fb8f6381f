"""What followers do: follow, scan, tap, report where they are (protocol reference 2.3)."""

from dataclasses import dataclass
from typing import ClassVar

from app.core.incoming import Grant, Incoming, Kind
from app.wechat.messages.base import FollowerEvent, given

_SCENE_PREFIX = "qrscene_"
_PAYMENT_PREFIX = "last_trade_no_"
_BY_KEY = ("FromUserName", "CreateTime", "Event", "EventKey")


@dataclass(frozen=True, slots=True)
class Subscribe(FollowerEvent):
    """A follow: by search or card, through a code with a scene, or right after paying."""

    type_name: ClassVar[str] = "subscribe"
    answerable: ClassVar[bool] = True

    event_key: str
    """As it came, prefix included."""
    ticket: str

    @property
    def scene(self) -> str:
        """The scanned code's scene; a text even where it looks like a number."""
        return _after(self.event_key, _SCENE_PREFIX)

    @property
    def payment(self) -> str:
        """Number of the payment after which the person followed."""
        return _after(self.event_key, _PAYMENT_PREFIX)

    def incoming(self) -> Incoming:
        return self._did(Kind.FOLLOW, key=self.scene, ticket=self.ticket, payment=self.payment)

    def _grant(self) -> Grant:
        return Grant.SUBSCRIBE


@dataclass(frozen=True, slots=True)
class SubscribeScanProduct(FollowerEvent):
    """A follow from the page of a scanned product; feature withdrawn."""

    type_name: ClassVar[str] = "subscribe_scan_product"
    answerable: ClassVar[bool] = True

    event_key: str
    """`scanbarcode|standard|code` or `scanimage|standard|code`."""

    @property
    def product(self) -> tuple[str, str, str]:
        """How it was scanned, the code's standard, the code; missing parts are empty."""
        how, standard, code = (*self.event_key.split("|", 2), "", "")[:3]
        return how, standard, code

    def incoming(self) -> Incoming:
        how, standard, code = self.product
        return self._did(Kind.FOLLOW, product=given(how=how, standard=standard, code=code))

    def _grant(self) -> Grant:
        return Grant.SUBSCRIBE


@dataclass(frozen=True, slots=True)
class Unsubscribe(FollowerEvent):
    """The person left, or closed their WeChat account."""

    type_name: ClassVar[str] = "unsubscribe"

    event_key: str

    def incoming(self) -> Incoming:
        return self._did(Kind.UNFOLLOW)


@dataclass(frozen=True, slots=True)
class Scan(FollowerEvent):
    """A code scanned by somebody who already follows."""

    type_name: ClassVar[str] = "scan"
    answerable: ClassVar[bool] = True
    identity: ClassVar[tuple[str, ...]] = _BY_KEY

    scene: str
    ticket: str

    def incoming(self) -> Incoming:
        return self._did(Kind.SCAN, key=self.scene, ticket=self.ticket)

    def _grant(self) -> Grant:
        return Grant.SCAN


@dataclass(frozen=True, slots=True)
class Location(FollowerEvent):
    """Where the follower is, told by the client on entering the chat or every 5 s while in it."""

    type_name: ClassVar[str] = "location_report"
    answerable: ClassVar[bool] = True

    latitude: float | None
    longitude: float | None
    precision: float | None

    def incoming(self) -> Incoming:
        return self._did(
            Kind.LOCATION,
            latitude=self.latitude,
            longitude=self.longitude,
            precision=self.precision,
        )


@dataclass(frozen=True, slots=True)
class Click(FollowerEvent):
    type_name: ClassVar[str] = "click"
    answerable: ClassVar[bool] = True
    identity: ClassVar[tuple[str, ...]] = _BY_KEY

    menu_key: str

    def incoming(self) -> Incoming:
        return self._did(Kind.MENU, key=self.menu_key)

    def _grant(self) -> Grant:
        return Grant.MENU


@dataclass(frozen=True, slots=True)
class View(FollowerEvent):
    """A menu button opened a page."""

    type_name: ClassVar[str] = "view"
    identity: ClassVar[tuple[str, ...]] = _BY_KEY

    url: str
    menu_id: str

    def incoming(self) -> Incoming:
        return self._did(Kind.MENU_LINK, key=self.url, menu_id=self.menu_id)


@dataclass(frozen=True, slots=True)
class ViewMiniProgram(FollowerEvent):
    """A menu button opened a mini program."""

    type_name: ClassVar[str] = "view_mini_program"
    identity: ClassVar[tuple[str, ...]] = _BY_KEY

    page_path: str
    menu_id: str

    def incoming(self) -> Incoming:
        return self._did(Kind.MENU_LINK, key=self.page_path, menu_id=self.menu_id)


@dataclass(frozen=True, slots=True)
class ScanCodePush(FollowerEvent):
    """A menu button's scan; the client opens the result itself."""

    type_name: ClassVar[str] = "scancode_push"
    answerable: ClassVar[bool] = True
    identity: ClassVar[tuple[str, ...]] = _BY_KEY

    menu_key: str
    scan_type: str
    """`qrcode` or `barcode`."""
    scan_result: str
    """As scanned; a bar code comes as `EAN_13,6900000000007`."""

    @property
    def code(self) -> str:
        """What the code says, without a bar code's standard."""
        if self.scan_type != "barcode":
            return self.scan_result
        return self.scan_result.partition(",")[2] or self.scan_result

    def incoming(self) -> Incoming:
        return self._did(
            Kind.MENU,
            key=self.menu_key,
            scan_type=self.scan_type,
            scan_result=self.scan_result,
            code=self.code,
        )

    def _grant(self) -> Grant:
        return Grant.MENU


@dataclass(frozen=True, slots=True)
class ScanCodeWait(ScanCodePush):
    """The same, but the client shows "receiving" and waits for our answer."""

    type_name: ClassVar[str] = "scancode_waitmsg"


@dataclass(frozen=True, slots=True)
class PictureMenu(FollowerEvent):
    """A menu button's pictures; they arrive as image messages of their own. Opens no window."""

    answerable: ClassVar[bool] = True
    identity: ClassVar[tuple[str, ...]] = _BY_KEY

    menu_key: str
    count: int | None
    md5: tuple[str, ...]
    """MD5 sums of the pictures, in hex."""

    def incoming(self) -> Incoming:
        return self._did(Kind.MENU, key=self.menu_key, count=self.count, md5=list(self.md5))


@dataclass(frozen=True, slots=True)
class PhotoMenu(PictureMenu):
    """Taken with the camera."""

    type_name: ClassVar[str] = "pic_sysphoto"


@dataclass(frozen=True, slots=True)
class PhotoOrAlbumMenu(PictureMenu):
    """Taken with the camera or chosen from the album."""

    type_name: ClassVar[str] = "pic_photo_or_album"


@dataclass(frozen=True, slots=True)
class AlbumMenu(PictureMenu):
    """Chosen from the album."""

    type_name: ClassVar[str] = "pic_weixin"


@dataclass(frozen=True, slots=True)
class LocationSelect(FollowerEvent):
    """A menu button's place; a location message follows separately. Opens no window."""

    type_name: ClassVar[str] = "location_select"
    answerable: ClassVar[bool] = True
    identity: ClassVar[tuple[str, ...]] = _BY_KEY

    menu_key: str
    latitude: float | None
    longitude: float | None
    scale: int | None
    label: str
    place: str
    """The name of the place, often absent (Poiname)."""

    def incoming(self) -> Incoming:
        return self._did(
            Kind.MENU,
            key=self.menu_key,
            text=self.label,
            latitude=self.latitude,
            longitude=self.longitude,
            scale=self.scale,
            place=self.place,
        )


@dataclass(frozen=True, slots=True)
class DeskSession(FollowerEvent):
    """The platform's own agent tool took or left a follower."""

    agent: str


@dataclass(frozen=True, slots=True)
class DeskSessionOpened(DeskSession):
    type_name: ClassVar[str] = "kf_create_session"


@dataclass(frozen=True, slots=True)
class DeskSessionClosed(DeskSession):
    type_name: ClassVar[str] = "kf_close_session"


@dataclass(frozen=True, slots=True)
class DeskSessionMoved(FollowerEvent):
    type_name: ClassVar[str] = "kf_switch_session"

    from_agent: str
    to_agent: str


@dataclass(frozen=True, slots=True)
class NoticeConsent:
    """What a follower said to one kind of subscription notice."""

    template_id: str
    status: str
    """`accept` or `reject`; an open list."""
    scene: int | None
    """1 in a page, 2 in an article."""


@dataclass(frozen=True, slots=True)
class NoticeConsentGiven(FollowerEvent):
    """Accepted or rejected in the dialogue of a page or an article."""

    type_name: ClassVar[str] = "subscribe_msg_popup"

    consents: tuple[NoticeConsent, ...]


@dataclass(frozen=True, slots=True)
class NoticeConsentChanged(FollowerEvent):
    """Changed in the settings; only rejections are told."""

    type_name: ClassVar[str] = "subscribe_msg_change"

    consents: tuple[NoticeConsent, ...]


@dataclass(frozen=True, slots=True)
class EnterTempSession(FollowerEvent):
    """A mini program's customer-service button; belongs to the mini program's own address."""

    type_name: ClassVar[str] = "user_enter_tempsession"
    answerable: ClassVar[bool] = True

    session_from: str


def _after(text: str, prefix: str) -> str:
    return text[len(prefix) :] if text.startswith(prefix) else ""
