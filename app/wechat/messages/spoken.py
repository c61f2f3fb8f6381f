"""What followers write and send (protocol reference 2.2)."""

from dataclasses import dataclass
from typing import ClassVar

from app.core.incoming import Grant, Incoming, Kind
from app.wechat.messages.base import FollowerEvent, FollowerMessage


@dataclass(frozen=True, slots=True)
class Text(FollowerMessage):
    type_name: ClassVar[str] = "text"

    content: str
    """As typed, outer blanks and line breaks kept; `""` when it is blank throughout."""
    menu_id: str
    """Id of the tapped option of a message menu (bizmsgmenuid)."""
    article_id: str
    """MsgDataId, when the chat was opened from a published article."""
    article_index: int | None
    """Idx, which article of that issue; from 1."""

    def incoming(self) -> Incoming:
        return self._said(
            Kind.TEXT,
            self.content,
            key=self.menu_id,
            # A tapped option counts as a menu tap, not as a message (reference 2.2).
            grant=Grant.MENU if self.menu_id else Grant.MESSAGE,
            article_id=self.article_id,
            article_index=self.article_index,
        )


@dataclass(frozen=True, slots=True)
class Image(FollowerMessage):
    type_name: ClassVar[str] = "image"

    media_id: str
    """Can be downloaded for 3 days."""
    picture_url: str
    """A temporary link without TLS."""

    def incoming(self) -> Incoming:
        return self._said(Kind.IMAGE, media_id=self.media_id, picture_url=self.picture_url)


@dataclass(frozen=True, slots=True)
class Voice(FollowerMessage):
    type_name: ClassVar[str] = "voice"

    media_id: str
    format: str
    """`amr` or `speex`."""
    recognition: str
    """What the platform once recognised; withdrawn, empty today."""
    media_id_16k: str
    """The copy sampled at 16 kHz."""

    def incoming(self) -> Incoming:
        return self._said(
            Kind.VOICE,
            self.recognition,
            media_id=self.media_id,
            format=self.format,
            media_id_16k=self.media_id_16k,
        )


@dataclass(frozen=True, slots=True)
class Video(FollowerMessage):
    type_name: ClassVar[str] = "video"

    media_id: str
    thumb_media_id: str

    def incoming(self) -> Incoming:
        return self._said(Kind.VIDEO, media_id=self.media_id, thumb_media_id=self.thumb_media_id)


@dataclass(frozen=True, slots=True)
class ShortVideo(Video):
    """Sent by old clients."""

    type_name: ClassVar[str] = "short_video"


@dataclass(frozen=True, slots=True)
class Position(FollowerMessage):
    """A place the follower chose; MsgType `location`."""

    type_name: ClassVar[str] = "location"

    latitude: float | None
    longitude: float | None
    scale: int | None
    label: str

    def incoming(self) -> Incoming:
        return self._said(
            Kind.POSITION,
            self.label,
            latitude=self.latitude,
            longitude=self.longitude,
            scale=self.scale,
        )


@dataclass(frozen=True, slots=True)
class Link(FollowerMessage):
    type_name: ClassVar[str] = "link"

    title: str
    description: str
    url: str

    def incoming(self) -> Incoming:
        return self._said(Kind.LINK, self.title, description=self.description, url=self.url)


@dataclass(frozen=True, slots=True)
class File(FollowerMessage):
    """Its content cannot be downloaded."""

    type_name: ClassVar[str] = "file"

    title: str
    description: str
    file_key: str
    md5: str
    size: int | None
    """Bytes."""

    def incoming(self) -> Incoming:
        return self._said(
            Kind.FILE, self.title, description=self.description, md5=self.md5, size=self.size
        )


@dataclass(frozen=True, slots=True)
class MiniProgramPage(FollowerMessage):
    type_name: ClassVar[str] = "mini_program_page"

    title: str
    app_id: str
    page_path: str
    thumb_url: str
    thumb_media_id: str

    def incoming(self) -> Incoming:
        return self._said(
            Kind.MINI_PROGRAM,
            self.title,
            app_id=self.app_id,
            page_path=self.page_path,
            thumb_url=self.thumb_url,
            thumb_media_id=self.thumb_media_id,
        )


@dataclass(frozen=True, slots=True)
class DeviceText(FollowerEvent):
    """From the withdrawn hardware platform; opens no window."""

    type_name: ClassVar[str] = "device_text"
    answerable: ClassVar[bool] = True
    identity: ClassVar[tuple[str, ...]] = ("MsgID",)

    device_type: str
    device_id: str
    session_id: str
    content: str
    """Base64, as it came: it may be binary."""
    device_message_id: int | None
    openid: str
