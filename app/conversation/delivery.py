"""A delivery on its way, and the answer it gets."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from app.accounts.registry import LiveAccount
from app.core.incoming import Incoming
from app.delivery.jobs import Claimed
from app.engines.followers.inbound import Who
from app.wechat.messages import Message

ReceiptKey: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class Delivery:
    """Authenticated, decrypted and understood; not yet stored."""

    account: LiveAccount
    message: Message
    incoming: Incoming
    key: str
    subject: str | None
    """The follower's openid, or None for reports of the platform."""
    raw: str
    arrived_at: datetime
    arrived: float
    """The same moment on the monotonic clock."""

    @property
    def receipt(self) -> ReceiptKey:
        return (self.key, self.account.id)

    @property
    def who(self) -> Who | None:
        return None if self.subject is None else (self.account.id, self.subject)

    @property
    def lane(self) -> object:
        """What is handled in order: a follower's deliveries; a report stands alone."""
        return self.who or self.receipt


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back. Nothing leaves before the commit that holds it."""

    status: int | None
    """200 with `xml`, 204 for the empty success, None while an apart handler works."""
    xml: str | None = None
    """In clear; safe mode seals it anew each time."""
    claimed: Claimed | None = None
    """The apart job this process has to run."""
    tries: int = 1
    """How often the platform has asked, as far as was counted."""


EMPTY = Answer(204)
