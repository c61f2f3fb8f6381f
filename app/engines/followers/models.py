"""People, and what tied them to an account when."""

from datetime import datetime

from sqlalchemy import BigInteger, Boolean, Index, SmallInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, BigId, Json, Utc

SCENE_CHARACTERS = 64
CODE_CHARACTERS = 128


class Follower(Base):
    """The narrow hot row. Whoever changes anything about a follower locks it first."""

    __tablename__ = "follower"
    __table_args__ = (UniqueConstraint("account_id", "openid"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    openid: Mapped[str] = mapped_column(String(64))
    subscribed: Mapped[bool | None] = mapped_column(Boolean)
    """Null: never told. Set by follow and unfollow events alone, the newer CreateTime winning."""
    subscribed_on: Mapped[int | None] = mapped_column(BigInteger)
    """CreateTime (unix seconds) of the event that set `subscribed`."""
    held: Mapped[int] = mapped_column(SmallInteger)
    """How many outbound rows wait for the next contact."""
    person_id: Mapped[int | None] = mapped_column(BigInteger)
    seen_at: Mapped[datetime] = mapped_column(Utc)
    """Last contact, up to an hour behind (`inbound.SEEN_EVERY`): to the moment it is the
    conversation's `last_inbound_at`. Not indexed, so that PostgreSQL can update in place."""


class FollowerProfile(Base):
    """What is known of a follower; WeChat tells no names since 2021, so it is what they gave us."""

    __tablename__ = "follower_profile"
    __table_args__ = (Index("ix_follower_profile_account_id_unionid", "account_id", "unionid"),)

    follower_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    unionid: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(80))
    remark: Mapped[str | None] = mapped_column(String(80))
    language: Mapped[str | None] = mapped_column(String(16))
    first_scene: Mapped[str | None] = mapped_column(String(SCENE_CHARACTERS))
    """How they first came; never overwritten."""
    first_code: Mapped[str | None] = mapped_column(String(CODE_CHARACTERS))
    first_followed_at: Mapped[datetime | None] = mapped_column(Utc)
    data: Mapped[object | None] = mapped_column(Json)
    updated_at: Mapped[datetime] = mapped_column(Utc)


class Person(Base):
    """One human over several accounts."""

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("unionid"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    unionid: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Utc)


class FollowHistory(Base):
    """Each follow, return and unfollow, with the scene and code it came through."""

    __tablename__ = "follow_history"
    __table_args__ = (
        Index("ix_follow_history_follower_id_id", "follower_id", "id"),
        Index("ix_follow_history_account_id_code", "account_id", "code"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    follower_id: Mapped[int] = mapped_column(BigInteger)
    change: Mapped[str] = mapped_column(String(8))
    """`follow`, `return` or `unfollow`."""
    scene: Mapped[str | None] = mapped_column(String(SCENE_CHARACTERS))
    """`qrcode`, `payment`, `product`, or null for search, card and link, which WeChat does not tell
    apart here."""
    code: Mapped[str | None] = mapped_column(String(CODE_CHARACTERS))
    """The scanned code's scene, the payment's number or the product's code."""
    wx_created_at: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(Utc)


class Tag(Base):
    __tablename__ = "tag"
    __table_args__ = (UniqueConstraint("account_id", "name"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    name: Mapped[str] = mapped_column(String(30))
    created_at: Mapped[datetime] = mapped_column(Utc)


class FollowerTag(Base):
    __tablename__ = "follower_tag"
    __table_args__ = (Index("ix_follower_tag_tag_id", "tag_id", "follower_id"),)

    follower_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    tag_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    account_id: Mapped[int] = mapped_column(BigInteger)
    source_key: Mapped[str] = mapped_column(String(200))
    """The delivery or request that set it."""
    created_at: Mapped[datetime] = mapped_column(Utc)
