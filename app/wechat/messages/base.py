"""What every inbound delivery has: envelope, key, subject, neutral form.

Whose delivery it is follows from the base class:

    ==================  ==========================================  =============================
    base                who                                         subject
    ==================  ==========================================  =============================
    `FollowerMessage`   a follower who wrote something              FromUserName
    `FollowerEvent`     a follower who did something                FromUserName
    `PrivacyEvent`      a push service, about a person              OpenID, `None` when left out
    `Report`            the platform, about a job, an audit or the  `None`: FromUserName is an
                        account itself                              administrator or a system
    `Unknown`           a message of a new type: a follower;        FromUserName for a message,
                        an event of a new type: nobody knows        `None` for an event
    ==================  ==========================================  =============================

Followers are never made from reports (protocol reference 2.3, 2.4 and 8).
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from app.core.incoming import Grant, Incoming, Kind

_MESSAGE_NUMBER = re.compile("[0-9]{1,20}")
ENVELOPE = frozenset({"ToUserName", "FromUserName", "CreateTime", "MsgType", "Event"})


def as_list(value: object) -> list[Any]:
    """A repeated element as a list: nothing, one or many (protocol reference 2.5)."""
    if isinstance(value, list):
        return value
    if value is None or (isinstance(value, str) and not value.strip()):
        return []
    return [value]


def values_at(fields: Mapping[str, Any], path: str) -> list[Any]:
    """Everything at a dotted path, through repeated elements; blank elements on the way are skipped."""
    found: list[Any] = [fields]
    for name in path.split("."):
        found = [
            inner
            for outer in found
            if isinstance(outer, Mapping)
            for inner in _repeated(outer.get(name))
        ]
    return found


def _repeated(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery. Subclasses add the fields of their kind, as plain values.

    Text that was not given is `""`; a number that was not given or is none is `None`.
    """

    type_name: ClassVar[str]
    """Stable name of the kind, snake_case."""
    answerable: ClassVar[bool] = False
    """Whether the platform shows a passive reply to the follower."""
    identity: ClassVar[tuple[str, ...]] = ("FromUserName", "CreateTime", "Event")
    """The wire fields that, with the account, tell one delivery from another (reference 2.4)."""

    account: str
    """ToUserName: the account's original id, `gh_…`."""
    sender: str
    """FromUserName: mostly the follower's openid, see `subject`."""
    created_at: int
    """CreateTime, unix seconds; the same in each repeat of a delivery."""
    fields: Mapping[str, Any] = field(repr=False, hash=False)
    """The whole parsed delivery as it came: nested mappings, lists and texts, JSON-ready."""

    @property
    def key(self) -> str:
        """The receipt key: the same for each repeat, unique within the account."""
        return _digest_key(self._identity_values())

    @property
    def subject(self) -> str | None:
        """The openid of the follower the delivery is about, if it is about one."""
        return self.sender

    def incoming(self) -> Incoming:
        """The delivery in words of no particular channel."""
        rest = {name: value for name, value in self.fields.items() if name not in ENVELOPE}
        return Incoming(
            kind=Kind.OTHER, data={"type": self.type_name, **rest}, answerable=self.answerable
        )

    def _identity_values(self) -> Iterator[str]:
        for path in self.identity:
            yield from (str(value).strip() for value in values_at(self.fields, path) or [""])


def _digest_key(values: Iterator[str]) -> str:
    return "w:e:" + hashlib.sha256("\n".join(values).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class FollowerMessage(Message):
    """Something a follower wrote or sent: opens the message window of 48 hours."""

    answerable: ClassVar[bool] = True

    message_id: int
    """MsgId, up to 64 bits: larger than what a float or JavaScript holds. 0 when it was left out."""

    @property
    def key(self) -> str:
        if self.message_id:
            return f"w:m:{self.message_id}"
        return _digest_key(iter((json.dumps(self.fields, sort_keys=True, ensure_ascii=False),)))

    def _said(
        self,
        kind: Kind,
        text: str = "",
        *,
        key: str = "",
        media_id: str = "",
        grant: Grant = Grant.MESSAGE,
        **data: Any,
    ) -> Incoming:
        return Incoming(kind, text, key, media_id, given(**data), grant, self.answerable)


@dataclass(frozen=True, slots=True)
class FollowerEvent(Message):
    """Something a follower did."""

    def _did(self, kind: Kind, *, key: str = "", text: str = "", **data: Any) -> Incoming:
        return Incoming(kind, text, key, "", given(**data), self._grant(), self.answerable)

    def _grant(self) -> Grant | None:
        """Which send window the deed opens; most open none (reference 4.3)."""
        return None


@dataclass(frozen=True, slots=True)
class Report(Message):
    """Something the platform tells of a job, an audit or the account: no follower stands behind it."""

    @property
    def subject(self) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class PrivacyEvent(Message):
    """A person changed or withdrew what we may know; FromUserName is a push service."""

    identity: ClassVar[tuple[str, ...]] = ("Event", "OpenID", "CreateTime")

    openid: str
    """The person, `""` when the platform left it out."""
    appid: str
    revoked: str
    """RevokeInfo: 201 address, 202 invoice, 203 card, 204 microphone, 205 name and avatar, 206
    location, 207 pictures or video; several are joined by the platform."""
    unionid: str

    @property
    def subject(self) -> str | None:
        return self.openid or None


@dataclass(frozen=True, slots=True)
class Unknown(Message):
    """A type this version does not know, kept whole."""

    type_name: ClassVar[str] = "unknown"
    identity: ClassVar[tuple[str, ...]] = ("FromUserName", "CreateTime", "Event", "EventKey")

    wire_type: str
    """MsgType in lower case; for an event `event:` and Event in lower case."""

    @property
    def key(self) -> str:
        if self.is_event:
            return _digest_key(self._identity_values())
        number = self.fields.get("MsgId")
        if isinstance(number, str) and _MESSAGE_NUMBER.fullmatch(number.strip()):
            return f"w:m:{int(number)}"
        return _digest_key(iter((json.dumps(self.fields, sort_keys=True, ensure_ascii=False),)))

    @property
    def is_event(self) -> bool:
        return self.wire_type.startswith("event:")

    @property
    def subject(self) -> str | None:
        return None if self.is_event else self.sender

    def incoming(self) -> Incoming:
        rest = {name: value for name, value in self.fields.items() if name not in ENVELOPE}
        # A new type of message is still a person writing to us, and opens their window.
        grant = None if self.is_event else Grant.MESSAGE
        return Incoming(
            kind=Kind.OTHER,
            data={"type": self.type_name, "wire_type": self.wire_type, **rest},
            grant=grant,
            answerable=self.answerable,
        )


def given(**data: Any) -> dict[str, Any]:
    """Only what was given: no empty texts, no `None`, no empty lists."""
    return {name: value for name, value in data.items() if value not in ("", None, [], ())}
