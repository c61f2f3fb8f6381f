"""What a delivery becomes: the rows, grants, events and answers of one case of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.conversation.delivery import EMPTY, Answer, Delivery
from app.core.blame import PartFailed, in_words
from app.core.decisions import Decision, Snapshot
from app.core.events import Event
from app.core.ids import ConversationId, FollowerId, Ids
from app.core.incoming import Incoming
from app.core.log import mask_text
from app.core.replies import Reply
from app.db import receipts
from app.delivery import windows
from app.delivery.outbound import HeldRow, NewMessage
from app.delivery.window import WindowRow, is_fresh
from app.engines.followers.inbound import Contact, Locked
from app.engines.support import inbound as support
from app.engines.support.inbound import Found
from app.wechat.messages import Message
from app.wechat.render import passive

HOLD = timedelta(hours=24)
"""How long an answer waits for the follower's next contact."""


@dataclass(slots=True)
class Case:
    """One new delivery while its batch is being worked."""

    delivery: Delivery
    follower: Locked
    conversation: Found
    snap: Snapshot
    windows: Sequence[WindowRow]
    """The grants that were there before this contact."""
    decision: Decision
    fault: Exception | None = None
    replies: list[Reply] = field(default_factory=list)
    held: Sequence[HeldRow] = ()
    answer: Answer = EMPTY


def outgoing(
    ids: Ids,
    account_id: int,
    follower: FollowerId,
    conversation: ConversationId,
    said: support.Said,
    *,
    source_key: str,
    held: bool,
    at: datetime,
) -> NewMessage:
    """A placed message as the ledger takes it."""
    return NewMessage(
        id=ids.new(),
        account_id=account_id,
        follower_id=follower,
        conversation_id=conversation,
        seq=said.seq,
        message_id=said.id,
        payload=support.said_row(said)["body"],
        automatic=True,
        source_key=source_key,
        held=held,
        or_hold=True,  # it was asked for: better at the next contact than never
        expires_at=at + HOLD,
    )


def wx_msg_id(message: Message) -> int | None:
    """The platform's number of a message, where it is one that the column can hold."""
    number: int = getattr(message, "message_id", 0)
    return number if 0 < number < 1 << 63 else None


def rendered(delivery: Delivery, reply: Reply) -> Answer:
    """The reply as the passive answer; the empty success where nothing is left to say."""
    message = delivery.message
    xml = passive(
        reply,
        to=delivery.subject or message.sender,
        sender=message.account,
        created_at=int(delivery.arrived_at.timestamp()),
    )
    return Answer(200, xml) if xml else EMPTY


def contact_of(case: Case) -> Contact:
    """The contact as followers note it."""
    delivery = case.delivery
    return Contact(
        delivery.account.id,
        case.follower,
        delivery.incoming,
        delivery.message.created_at,
        delivery.arrived_at,
    )


def grant_of(case: Case) -> windows.GrantRow | None:
    """The send window that the contact opens, if it opens one that is not there already."""
    incoming: Incoming = case.delivery.incoming
    at = case.delivery.arrived_at
    if incoming.grant is None:
        return None
    if any(row.bucket == incoming.grant and is_fresh(row, at) for row in case.windows):
        return None
    return windows.GrantRow(
        case.delivery.account.id,
        case.follower.id,
        incoming.grant,
        case.delivery.key,
        at,
    )


def receipt_row(delivery: Delivery, answer: Answer) -> dict[str, Any]:
    """The receipt with the answer; without one while an apart handler works."""
    return {
        "key": delivery.key,
        "account_id": delivery.account.id,
        "request_hash": None,
        "status": answer.status,
        "answer": answer.xml,
        "tries": 1,
        "expires_at": delivery.arrived_at + receipts.DELIVERY_LIFE,
    }


def platform_event(delivery: Delivery) -> Event:
    """A delivery without a follower is an event row, with all that it said."""
    message = delivery.message
    return Event(
        delivery.account.id,
        f"platform.{message.type_name}"[:64],
        "account",
        delivery.account.id,
        {
            "key": delivery.key,
            "created_at": message.created_at,
            "fields": message.fields,
            "raw": delivery.raw,
        },
    )


def fault_event(account: int, conversation: int, key: str, fault: Exception) -> Event:
    """What staff are told of a handler or effect that failed, and of whose plugin it is."""
    kind, _, words = in_words(fault).partition(": ")
    payload = {"key": key, "error": kind, "message": mask_text(words)[:500]}
    if isinstance(fault, PartFailed):
        payload |= {"error": type(fault.error).__name__, "plugin": fault.owner}
    return Event(account, "fault.raised", "conversation", conversation, payload)
