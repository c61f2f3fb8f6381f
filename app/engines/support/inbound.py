"""Conversations as deliveries see them: found, opened, reopened, and written set-wise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    SmallInteger,
    bindparam,
    case,
    func,
    literal_column,
    select,
    update,
)

from app.core.errors import NotFound
from app.core.events import Event
from app.core.ids import ConversationId, FollowerId, Ids, MessageId, short_code
from app.core.incoming import Incoming, Kind
from app.core.replies import Reply, plain_text, to_dict
from app.core.text import cut_bytes
from app.db.base import Utc
from app.db.hot import Hot, InList, Row, hot_insert
from app.db.tx import Query, RowsMissed, Tx
from app.engines.support.models import Conversation, Message
from app.engines.support.moves import HELD, HandOver, Move

PREVIEW_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Found:
    """The conversation of a locked follower, as it stood before this contact."""

    id: ConversationId
    state: str
    owner_kind: str
    version: int
    last_seq: int
    misses: int
    reopen_count: int
    queued_at: datetime | None = None
    """Known while `queued`."""
    said_at: datetime | None = None
    """Known while `queued`: when the follower last heard from us."""
    new: bool = False
    bot_epoch: int = 0
    """Known to `get`: rises whenever the bot is told to be silent, or to speak again."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message to the follower, placed in the conversation."""

    id: MessageId
    seq: int
    reply: Reply


@dataclass(frozen=True, slots=True)
class Turn:
    """One contact and what is answered, ready to be written."""

    account_id: int
    follower_id: FollowerId
    conversation: Found
    key: str
    incoming: Incoming
    wx_msg_id: int | None
    wx_created_at: int
    at: datetime
    raw: str
    message_id: MessageId
    missed: bool = False
    silent: bool = False
    """Nobody asked and nothing is done, as after a report of where the follower is."""
    trace: Mapping[str, Any] = field(default_factory=dict)
    said: tuple[Said, ...] = ()
    move: Move | None = None
    """To a person, or back to the bot."""

    @property
    def seq(self) -> int:
        return self.conversation.last_seq + 1


_QUEUED: ColumnElement[str] = literal_column("'queued'")
_FIND = Hot(
    select(
        Conversation.follower_id,
        Conversation.id,
        Conversation.state,
        Conversation.owner_kind,
        Conversation.version,
        Conversation.last_message_seq,
        Conversation.bot_misses,
        Conversation.reopen_count,
        case((Conversation.state == _QUEUED, Conversation.queued_at)),
        case((Conversation.state == _QUEUED, Conversation.last_outbound_at)),
    ).where(InList(Conversation.follower_id, "followers"), Conversation.state != "closed")
)
_GET = Hot(
    select(
        Conversation.id,
        Conversation.state,
        Conversation.owner_kind,
        Conversation.version,
        Conversation.last_message_seq,
        Conversation.bot_misses,
        Conversation.reopen_count,
        Conversation.bot_epoch,
    ).where(Conversation.id == bindparam("conversation"))
)
_NEW = hot_insert(Conversation, *(c.name for c in Conversation.__table__.columns))
_MOVE = Hot(
    update(Conversation)
    .where(Conversation.id == bindparam("conversation"), Conversation.version == bindparam("seen"))
    .values(
        state=bindparam("now_state"),
        owner_kind=bindparam("now_owner"),
        version=bindparam("now_version"),
        last_message_seq=bindparam("now_seq"),
        last_inbound_at=bindparam("inbound_at", type_=Utc()),
        last_outbound_at=func.coalesce(
            bindparam("outbound_at", type_=Utc()), Conversation.last_outbound_at
        ),
        bot_misses=bindparam("now_misses", type_=SmallInteger()),
        reopen_count=bindparam("now_reopened", type_=SmallInteger()),
        resolved_at=bindparam("resolved", type_=Utc()),
        resolution_code=bindparam("resolution"),
        preview=bindparam("now_preview"),
    ),
    distinct=True,
)
_HAND_OVER = Hot(
    update(Conversation)
    .where(Conversation.id == bindparam("conversation"))
    .values(
        queued_at=bindparam("at", type_=Utc()),
        waiting_since=bindparam("at", type_=Utc()),
        priority=func.coalesce(bindparam("wanted", type_=SmallInteger()), Conversation.priority),
        bot_epoch=Conversation.bot_epoch + 1,
    )
)
_RETURN = Hot(
    update(Conversation)
    .where(Conversation.id == bindparam("conversation"))
    .values(queued_at=None, waiting_since=None, bot_epoch=Conversation.bot_epoch + 1)
)
_WAITS = Hot(
    update(Conversation)
    .where(Conversation.id == bindparam("conversation"), Conversation.waiting_since.is_(None))
    .values(waiting_since=bindparam("at", type_=Utc()))
)
_TOUCH = Hot(
    update(Conversation)
    .where(Conversation.id == bindparam("conversation"), Conversation.version == bindparam("seen"))
    .values(
        version=bindparam("now_version"),
        last_message_seq=bindparam("now_seq"),
        last_inbound_at=bindparam("inbound_at", type_=Utc()),
        last_outbound_at=func.coalesce(
            bindparam("outbound_at", type_=Utc()), Conversation.last_outbound_at
        ),
        bot_misses=bindparam("now_misses", type_=SmallInteger()),
        preview=bindparam("now_preview"),
    ),
    distinct=True,
)
"""Where the state stays: SQLite writes the entries of a partial index anew whenever a statement sets a
column of its condition, be the value the same."""
_GROW = Hot(
    update(Conversation)
    .where(Conversation.id == bindparam("conversation"), Conversation.version == bindparam("seen"))
    .values(
        version=bindparam("now_version"),
        last_message_seq=bindparam("now_seq"),
        last_outbound_at=bindparam("outbound_at", type_=Utc()),
        preview=bindparam("now_preview"),
    )
)
_MESSAGE = hot_insert(
    Message,
    "id",
    "account_id",
    "conversation_id",
    "seq",
    "follower_id",
    "direction",
    "author_kind",
    "kind",
    "body",
    "text",
    "private",
    "wx_msg_id",
    "receipt_key",
    "wx_created_at",
    "created_at",
    "raw",
    "trace",
)


class Inbound:
    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def conversations_of(self, followers: Sequence[FollowerId]) -> Query[dict[FollowerId, Found]]:
        """The conversation of each locked follower; a fresh one, not yet written, where none lives."""

        def found(rows: Sequence[Row]) -> dict[FollowerId, Found]:
            known = {FollowerId(row[0]): Found(ConversationId(row[1]), *row[2:]) for row in rows}
            return {f: known[f] if f in known else self._fresh() for f in followers}

        return Query(_FIND, {"followers": list(followers)}, found)

    def _fresh(self) -> Found:
        return Found(ConversationId(self._ids.new()), "bot", "bot", 0, 0, 0, 0, new=True)

    async def get(self, tx: Tx, conversation: ConversationId) -> Found:
        """A conversation whose follower is locked."""
        row = await tx.first(_GET, {"conversation": conversation})
        if row is None:
            raise NotFound(what=f"conversation {conversation}")
        return replace(Found(ConversationId(row[0]), *row[1:-1]), bot_epoch=row[-1])

    def place(self, replies: Sequence[Reply], first_seq: int) -> tuple[Said, ...]:
        """The replies in the order they are said, from a place in the conversation on."""
        return tuple(
            Said(MessageId(self._ids.new()), seq, reply)
            for seq, reply in enumerate(replies, first_seq)
        )

    async def append(
        self,
        tx: Tx,
        account_id: int,
        follower: FollowerId,
        conversation: Found,
        said: Sequence[Said],
        at: datetime,
    ) -> list[Event]:
        """Adds what is said after the contact it answers was stored; the events to announce."""
        if not said:
            return []
        moved = await tx.run(
            _GROW,
            {
                "conversation": conversation.id,
                "seen": conversation.version,
                "now_version": conversation.version + len(said),
                "now_seq": said[-1].seq,
                "outbound_at": at,
                "now_preview": plain_text(said[-1].reply)[:PREVIEW_CHARACTERS],
            },
        )
        if moved != 1:
            raise RowsMissed
        common = _common(account_id, follower, conversation.id, at)
        await tx.put(_MESSAGE, [common | said_row(one) for one in said])
        return [
            _created(account_id, conversation, one.id, one.seq, "out", one.reply.kind, place)
            for place, one in enumerate(said, 1)
        ]

    async def write(self, tx: Tx, turns: Sequence[Turn]) -> list[Event]:
        """Moves or makes the conversations, stores every message; the events to announce.

        `RowsMissed` comes up before the commit when a conversation changed although its follower was
        locked.
        """
        await tx.put(_NEW, [_new_row(turn) for turn in turns if turn.conversation.new])
        old = [(turn, _after(turn)) for turn in turns if not turn.conversation.new]
        moved = [_move_row(turn, after) for turn, after in old if _moves(turn, after)]
        touched = [_touch_row(turn, after) for turn, after in old if not _moves(turn, after)]
        await tx.put(_MOVE, moved, expected=len(moved))
        await tx.put(_TOUCH, touched, expected=len(touched))
        await tx.put(_MESSAGE, [row for turn in turns for row in _messages(turn)])
        await self._move(tx, turns)
        return [event for turn in turns for event in _events(turn)]

    async def _move(self, tx: Tx, turns: Sequence[Turn]) -> None:
        """What goes with a change of state, and since when a follower has waited for a person.

        Rare: a batch without either costs no statement.
        """
        for turn in turns:
            row = {"conversation": turn.conversation.id}
            if isinstance(turn.move, HandOver) and turn.incoming.kind is not Kind.UNFOLLOW:
                await tx.run(_HAND_OVER, row | {"at": turn.at, "wanted": turn.move.priority})
            elif turn.move is not None or _leaves_waiting(turn):
                await tx.run(_RETURN, row)
            elif turn.conversation.state in HELD:
                await tx.run(_WAITS, row | {"at": turn.at})


def _leaves_waiting(turn: Turn) -> bool:
    """Who unfollows waits for nobody any more."""
    return turn.incoming.kind is Kind.UNFOLLOW and turn.conversation.state in ("queued", *HELD)


def _after(turn: Turn) -> dict[str, Any]:
    """The conversation's columns after this turn."""
    before = turn.conversation
    leaves = turn.incoming.kind is Kind.UNFOLLOW
    returns = before.state == "resolved" and not leaves
    state = "resolved" if leaves else "bot" if returns else before.state
    owner = "none" if leaves else "bot" if returns else before.owner_kind
    if turn.move is not None and not leaves:
        state, owner = turn.move.to_state, turn.move.to_owner
    newest = plain_text(turn.said[-1].reply) if turn.said else turn.incoming.text
    return {
        "state": state,
        "owner": owner,
        "version": before.version + 1 + len(turn.said) + (turn.move is not None),
        "seq": turn.seq + len(turn.said),
        "misses": _misses_after(turn),
        "reopened": before.reopen_count + (1 if returns else 0),
        "resolved": turn.at if leaves else None,
        "resolution": "unsubscribed" if leaves else None,
        "preview": newest[:PREVIEW_CHARACTERS],
        "outbound_at": turn.at if turn.said else None,
    }


def _misses_after(turn: Turn) -> int:
    if turn.missed:
        return turn.conversation.misses + 1
    return turn.conversation.misses if turn.silent else 0


_EMPTY: dict[str, Any] = {c.name: None for c in Conversation.__table__.columns}


def _new_row(turn: Turn) -> dict[str, Any]:
    after = _after(turn)
    return _EMPTY | {
        "id": turn.conversation.id,
        "account_id": turn.account_id,
        "number": short_code(turn.conversation.id),
        "follower_id": turn.follower_id,
        "state": after["state"],
        "owner_kind": after["owner"],
        "priority": 1,
        "version": after["version"],
        "last_message_seq": after["seq"],
        "last_inbound_at": turn.at,
        "last_outbound_at": after["outbound_at"],
        "snooze_until_reply": False,
        "resolved_at": after["resolved"],
        "resolution_code": after["resolution"],
        "reopen_count": 0,
        "bot_epoch": 0,
        "bot_misses": after["misses"],
        "preview": after["preview"],
    }


def _moves(turn: Turn, after: Mapping[str, Any]) -> bool:
    """Whether the state changes, or something that only changes with it."""
    return bool(after["state"] != turn.conversation.state or after["resolution"] is not None)


def _touch_row(turn: Turn, after: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "conversation": turn.conversation.id,
        "seen": turn.conversation.version,
        "now_version": after["version"],
        "now_seq": after["seq"],
        "inbound_at": turn.at,
        "outbound_at": after["outbound_at"],
        "now_misses": after["misses"],
        "now_preview": after["preview"],
    }


def _move_row(turn: Turn, after: Mapping[str, Any]) -> dict[str, Any]:
    return _touch_row(turn, after) | {
        "now_state": after["state"],
        "now_owner": after["owner"],
        "now_reopened": after["reopened"],
        "resolved": after["resolved"],
        "resolution": after["resolution"],
    }


def _common(
    account_id: int, follower: FollowerId, conversation: ConversationId, at: datetime
) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "conversation_id": conversation,
        "follower_id": follower,
        "private": False,
        "created_at": at,
    }


def _messages(turn: Turn) -> list[dict[str, Any]]:
    common = _common(turn.account_id, turn.follower_id, turn.conversation.id, turn.at)
    incoming = turn.incoming
    contact = common | {
        "id": turn.message_id,
        "seq": turn.seq,
        "direction": "in",
        "author_kind": "follower",
        "kind": incoming.kind.value,
        "body": body_of(incoming),
        "text": incoming.text,
        "wx_msg_id": turn.wx_msg_id,
        "receipt_key": turn.key,
        "wx_created_at": turn.wx_created_at,
        "raw": turn.raw,
        "trace": turn.trace,
    }
    return [contact, *(common | said_row(said) for said in turn.said)]


def body_of(incoming: Incoming) -> dict[str, Any]:
    """The stored form of a contact; what is empty is left out."""
    parts = {
        "key": incoming.key,
        "media_id": incoming.media_id,
        "data": dict(incoming.data),
    }
    return {name: value for name, value in parts.items() if value}


def said_row(said: Said) -> dict[str, Any]:
    """The columns of a message to the follower that are its own."""
    return {
        "id": said.id,
        "seq": said.seq,
        "direction": "out",
        "author_kind": "bot",
        "kind": said.reply.kind,
        "body": to_dict(said.reply),
        "text": cut_bytes(plain_text(said.reply), 4096),
        "wx_msg_id": None,
        "receipt_key": None,
        "wx_created_at": None,
        "raw": None,
        "trace": None,
    }


def _events(turn: Turn) -> list[Event]:
    told = [(turn.message_id, turn.seq, "in", turn.incoming.kind.value)]
    told += [(said.id, said.seq, "out", said.reply.kind) for said in turn.said]
    events = [
        _created(turn.account_id, turn.conversation, message, seq, direction, kind, place)
        for place, (message, seq, direction, kind) in enumerate(told, 1)
    ]
    if turn.move is not None:
        events.append(_moved(turn, turn.move, len(events) + 1))
    return events


def _moved(turn: Turn, move: Move, place: int) -> Event:
    payload = {"key": turn.key, "from": turn.conversation.state, "why": move.trigger}
    return Event(
        turn.account_id,
        move.event,
        "conversation",
        turn.conversation.id,
        payload,
        turn.conversation.version + place,
    )


def _created(
    account_id: int,
    conversation: Found,
    message: MessageId,
    seq: int,
    direction: str,
    kind: str,
    place: int,
) -> Event:
    """`place` counts the changes of this transaction, each a version of the conversation."""
    return Event(
        account_id,
        "message.created",
        "conversation",
        conversation.id,
        {"message_id": str(message), "seq": seq, "direction": direction, "kind": kind},
        conversation.version + place,
    )
