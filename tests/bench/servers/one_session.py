"""One ORM session and one commit per message, as most servers do it; on our own schema.

The same rows as ours: follower, receipt, conversation, two messages, send window, two events. Pooled
and indexed, the follower's row locked first, a repeat answered from its receipt. Sessions run in
threads: asynchronous ones were slower on both databases, and so was every other size of the pool.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import FastAPI, Request, Response
from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from wechatpy import create_reply, parse_message
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.utils import check_signature

from app.accounts.models import Account
from app.core.clock import SystemClock
from app.core.ids import Ids, short_code
from app.db.database import sync_url
from app.db.events import EventRow
from app.db.receipts import Receipt
from app.delivery.models import SendWindow
from app.engines.followers.models import Follower
from app.engines.support.models import Conversation, Message
from tests.bench import shop

ANSWERS = dict(shop.answers())
CLOCK = SystemClock()
IDS = Ids(CLOCK, 1000)
POOL = 10
TRIES = 3


@dataclass(frozen=True, slots=True)
class Contact:
    account: int
    message: Any
    raw: str
    answer: str
    """The words."""
    xml: str


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    url = os.environ["GUANXI_DATABASE_URL"]
    engine = app.state.engine = _engine(url)
    with engine.connect() as connection:
        found = connection.scalar(select(Account.id).where(Account.slug == shop.SLUG))
    if found is None:
        raise RuntimeError("the database has no account to measure with")
    app.state.account = found
    yield
    engine.dispose()


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.post("/wechat/{slug}")
async def deliver(slug: str, request: Request) -> Response:
    query = request.query_params
    try:
        check_signature(shop.TOKEN, query["signature"], query["timestamp"], query["nonce"])
    except InvalidSignatureException:
        return Response(status_code=403)
    body = await request.body()
    message = parse_message(body)
    answer = ANSWERS.get(message.content, "") if message.type == "text" else ""
    xml = create_reply(answer, message).render()
    contact = Contact(app.state.account, message, body.decode(), answer, xml)
    stored = await run_in_threadpool(_store_one, app.state.engine, contact)
    return Response(stored, media_type="text/xml")


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(sync_url(url), pool_size=POOL, max_overflow=0)
    engine = create_engine(
        url,
        connect_args={"check_same_thread": False, "timeout": 30},
        pool_size=POOL,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _store_one(engine: Engine, contact: Contact) -> str:
    """Two first contacts of one follower at once collide in the unique key: once more, then."""
    with Session(engine) as session:
        for _ in range(TRIES - 1):
            try:
                return _store(session, contact)
            except IntegrityError:
                session.rollback()
        return _store(session, contact)


def _store(session: Session, contact: Contact) -> str:
    now = CLOCK.now()
    key = f"w:m:{contact.message.id}"
    follower = _follower(session, contact, now)
    known = session.get(Receipt, {"key": key, "account_id": contact.account})
    if known is not None:
        session.rollback()
        return known.answer or ""
    conversation = _conversation(session, contact, follower, now)
    _window(session, contact, follower, key, now)
    told = [
        _message(contact, follower, conversation, now, "in", contact.message.content, key),
        _message(contact, follower, conversation, now, "out", contact.answer, None),
    ]
    session.add_all(told)
    session.add_all(_event(contact, conversation, one) for one in told)
    session.add(
        Receipt(
            key=key,
            account_id=contact.account,
            status=200,
            answer=contact.xml,
            tries=1,
            expires_at=now + timedelta(hours=24),
        )
    )
    session.commit()
    return contact.xml


def _follower(session: Session, contact: Contact, now: datetime) -> Follower:
    openid = contact.message.source
    statement = select(Follower).where(
        Follower.account_id == contact.account, Follower.openid == openid
    )
    found = session.scalars(statement.with_for_update()).one_or_none()
    if found is None:
        found = Follower(id=IDS.new(), account_id=contact.account, openid=openid, held=0)
        session.add(found)
    found.seen_at = now
    return found


def _conversation(
    session: Session, contact: Contact, follower: Follower, now: datetime
) -> Conversation:
    statement = select(Conversation).where(
        Conversation.follower_id == follower.id, Conversation.state != "closed"
    )
    found = session.scalars(statement).one_or_none()
    if found is None:
        number = IDS.new()
        found = Conversation(
            id=number,
            account_id=contact.account,
            number=short_code(number),
            follower_id=follower.id,
            state="bot",
            owner_kind="bot",
            priority=1,
            version=0,
            last_message_seq=0,
            snooze_until_reply=False,
            reopen_count=0,
            bot_epoch=0,
            bot_misses=0,
        )
        session.add(found)
    found.version += 2
    found.last_message_seq += 2
    found.last_inbound_at = found.last_outbound_at = now
    found.preview = contact.answer[:60]
    return found


def _window(
    session: Session, contact: Contact, follower: Follower, key: str, now: datetime
) -> None:
    window = session.get(
        SendWindow,
        {"account_id": contact.account, "follower_id": follower.id, "bucket": "message"},
    )
    if window is None:
        window = SendWindow(account_id=contact.account, follower_id=follower.id, bucket="message")
        session.add(window)
    window.source_key = key
    window.granted_at = now
    window.expires_at = now + timedelta(hours=48)
    window.quota, window.used, window.used_by_bot = 5, 0, 0


def _message(
    contact: Contact,
    follower: Follower,
    conversation: Conversation,
    now: datetime,
    direction: str,
    words: str,
    key: str | None,
) -> Message:
    inbound = direction == "in"
    return Message(
        id=IDS.new(),
        account_id=contact.account,
        conversation_id=conversation.id,
        seq=conversation.last_message_seq - (1 if inbound else 0),
        follower_id=follower.id,
        direction=direction,
        author_kind="follower" if inbound else "bot",
        kind="text",
        body={} if inbound else {"kind": "text", "text": words},
        text=words,
        private=False,
        wx_msg_id=contact.message.id if inbound else None,
        receipt_key=key,
        wx_created_at=int(contact.message.time) if inbound else None,
        created_at=now,
        raw=contact.raw if inbound else None,
        trace={"handler": "dictionary"} if inbound else None,
    )


def _event(contact: Contact, conversation: Conversation, message: Message) -> EventRow:
    return EventRow(
        account_id=contact.account,
        topic="message",
        kind="message.created",
        aggregate_type="conversation",
        aggregate_id=conversation.id,
        aggregate_seq=message.seq,
        payload={"message_id": str(message.id), "seq": message.seq, "direction": message.direction},
        created_at=CLOCK.now(),
    )
