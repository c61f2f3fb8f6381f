"""What is said to a follower, on any channel.

A reply is a plain value; `app.wechat.render` turns it into the platform's XML or JSON. `to_dict`
and `from_dict` are its stored form (column `outbound.payload`, `cs_message.body`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias


@dataclass(frozen=True, slots=True)
class TextReply:
    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True, slots=True)
class ImageReply:
    kind: ClassVar[str] = "image"
    media_id: str


@dataclass(frozen=True, slots=True)
class VoiceReply:
    kind: ClassVar[str] = "voice"
    media_id: str


@dataclass(frozen=True, slots=True)
class VideoReply:
    kind: ClassVar[str] = "video"
    media_id: str
    title: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class MusicReply:
    kind: ClassVar[str] = "music"
    thumb_media_id: str
    title: str = ""
    description: str = ""
    url: str = ""
    hq_url: str = ""


@dataclass(frozen=True, slots=True)
class ArticleReply:
    """One card with a picture that opens a page. The platform shows one article per answer."""

    kind: ClassVar[str] = "article"
    title: str
    description: str = ""
    picture_url: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class MenuReply:
    """A question with options to tap. Goes out as a message menu where the account may send one,
    as numbered text otherwise."""

    kind: ClassVar[str] = "menu"
    head: str
    options: tuple[tuple[str, str], ...]
    """Pairs of option id and the words shown."""
    tail: str = ""


@dataclass(frozen=True, slots=True)
class PlatformDeskReply:
    """Hands this message to WeChat's own agent tool; `agent` is its account or empty."""

    kind: ClassVar[str] = "platform_desk"
    agent: str = ""


Reply: TypeAlias = (
    TextReply
    | ImageReply
    | VoiceReply
    | VideoReply
    | MusicReply
    | ArticleReply
    | MenuReply
    | PlatformDeskReply
)

KINDS: tuple[type[Any], ...] = (
    TextReply,
    ImageReply,
    VoiceReply,
    VideoReply,
    MusicReply,
    ArticleReply,
    MenuReply,
    PlatformDeskReply,
)
"""Every class of reply."""
_KINDS: dict[str, type[Any]] = {cls.kind: cls for cls in KINDS}

_FIELDS = {kind: tuple(field.name for field in fields(cls)) for kind, cls in _KINDS.items()}


def to_dict(reply: Reply) -> dict[str, Any]:
    """The stored form: the fields and `kind`."""
    return {"kind": reply.kind, **{name: getattr(reply, name) for name in _FIELDS[reply.kind]}}


def from_dict(data: Mapping[str, Any]) -> Reply:
    """The reply a stored form stands for.

    Raises `ValueError` for an unknown kind and `TypeError` for missing or surplus fields.
    """
    values = dict(data)
    cls = _KINDS.get(str(values.pop("kind", None)))
    if cls is None:
        raise ValueError(f"unknown reply kind in {data!r}")
    if cls is MenuReply:
        values["options"] = tuple((str(i), str(words)) for i, words in values["options"])
    reply: Reply = cls(**values)
    return reply


def plain_text(reply: Reply) -> str:
    """Words that stand for the reply in lists, search and previews."""
    match reply:
        case TextReply(text=text):
            return text
        case ArticleReply(title=title):
            return f"[图文] {title}"
        case MenuReply(head=head, options=options, tail=tail):
            return "\n".join(
                x for x in (head, *(f"{n}. {w}" for n, (_, w) in enumerate(options, 1)), tail) if x
            )
        case ImageReply():
            return "[图片]"
        case VoiceReply():
            return "[语音]"
        case VideoReply(title=title):
            return f"[视频] {title}".rstrip()
        case MusicReply(title=title):
            return f"[音乐] {title}".rstrip()
        case PlatformDeskReply():
            return "[转接微信客服]"
