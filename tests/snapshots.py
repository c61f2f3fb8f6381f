"""Snapshots with sensible defaults, for handlers and engines that decide."""

from collections.abc import Collection
from datetime import UTC, datetime

from app.core.decisions import (
    AccountView,
    ConversationView,
    FlowState,
    FollowerView,
    Snapshot,
)
from app.core.ids import AccountId, ConversationId, FollowerId
from app.core.incoming import Incoming, Kind

NOW = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)
ACCOUNT = AccountId(1)
CONTACT = "人工客服：010-12345678"


def snapshot(
    incoming: Incoming | str,
    *,
    flow: FlowState | None = None,
    misses: int = 0,
    key: str = "w:m:1",
    now: datetime = NOW,
    contact: str = CONTACT,
    timezone: str = "Asia/Shanghai",
    tags: Collection[str] = (),
) -> Snapshot:
    """A contact of follower 2; a plain string is a text."""
    if isinstance(incoming, str):
        incoming = Incoming(Kind.TEXT, text=incoming)
    return Snapshot(
        account=AccountView(ACCOUNT, "shop", "山谷咖啡", timezone, may_send=True, contact=contact),
        key=key,
        incoming=incoming,
        follower=FollowerView(FollowerId(2), new=False, subscribed=True, tags=frozenset(tags)),
        conversation=ConversationView(ConversationId(3), "bot", misses),
        flow=flow,
        now=now,
    )
