"""What a follower did, in words of no particular channel.

`app.wechat` makes these from deliveries; engines and handlers see nothing of the platform's wire.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    TEXT = "text"
    IMAGE = "image"
    VOICE = "voice"
    VIDEO = "video"
    POSITION = "position"
    """A place the follower chose and sent."""
    LINK = "link"
    FILE = "file"
    MINI_PROGRAM = "mini_program"
    FOLLOW = "follow"
    UNFOLLOW = "unfollow"
    SCAN = "scan"
    """A code scanned by somebody who already follows. A follow through a code is FOLLOW with `key`."""
    MENU = "menu"
    """A menu button whose tap is told to us: click, scan-code, picture and position buttons."""
    MENU_LINK = "menu_link"
    """A menu button that opened a page or a mini program; nothing can be answered."""
    LOCATION = "location"
    """Where the follower is, reported by the client when the chat opens."""
    OTHER = "other"


class Grant(StrEnum):
    """Which send window a contact opens. Protocol reference 4.3."""

    MESSAGE = "message"
    MENU = "menu"
    SUBSCRIBE = "subscribe"
    SCAN = "scan"


@dataclass(frozen=True, slots=True)
class Incoming:
    """One contact. Empty strings stand for what was not given."""

    kind: Kind
    text: str = ""
    """What was typed, or the words that stand for the rest: a link's title, a position's label."""
    key: str = ""
    """Menu key, scene of a scanned code (without the platform's prefix), or option id tapped."""
    media_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What else came, JSON-ready: latitude, longitude, url, scan result, …"""
    grant: Grant | None = None
    answerable: bool = True
    """Whether the platform would show an answer to the follower."""
