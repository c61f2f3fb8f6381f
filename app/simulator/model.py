"""The things of the simulator: accounts, followers, deliveries, what is on the screens."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.simulator.signing import decode_key

Mode = Literal["plain", "compat", "safe"]
Kind = Literal["service", "subscription"]

FAULT_LINE = "该公众号提供的服务出现故障，请稍后再试"
"""What the client shows when an account did not answer, or not properly."""


class Account(BaseModel):
    """An official account as its console at the platform knows it."""

    appid: str = Field(pattern=r"^wx[0-9a-zA-Z]{4,30}$")
    secret: str = Field(min_length=1, max_length=64)
    token: str = Field(pattern=r"^[A-Za-z0-9]{3,32}$")
    aes_key: str
    previous_aes_key: str = ""
    mode: Mode = "safe"
    original_id: str = Field(pattern=r"^gh_[0-9A-Za-z_-]{1,30}$")
    name: str = Field("示例公众号", min_length=1, max_length=60)
    kind: Kind = "service"
    verified: bool = True
    url: str = ""
    """Where deliveries are posted; empty: the account has no server and nothing is pushed."""
    attempts: int = Field(3, ge=1, le=4)
    """How often an unanswered delivery is tried in all. The platform's pages say 3 and 4."""
    retry_errors: bool = False
    """Whether HTTP errors and malformed answers are tried again too. Only silence is documented to be."""
    menu_cache_seconds: int = Field(0, ge=0, le=86400)
    """How long a phone keeps an old menu. Real clients: 300; 0 shows each change at once."""

    @field_validator("aes_key")
    @classmethod
    def _aes_key(cls, value: str) -> str:
        decode_key(value)
        return value

    @field_validator("previous_aes_key")
    @classmethod
    def _previous_aes_key(cls, value: str) -> str:
        if value:
            decode_key(value)
        return value

    @field_validator("url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must start with http:// or https://")
        return value


class Bucket(BaseModel):
    """A grant to send customer messages. Times are Unix seconds on the moved clock."""

    left: int
    ends_at: float


class Follower(BaseModel):
    appid: str
    openid: str
    name: str
    following: bool = False
    subscribed_at: int = 0
    subscribe_scene: str = ""
    qr_scene: str = ""
    remark: str = ""
    tags: list[int] = Field(default_factory=list)
    """In the order given; the last one decides which conditional menu is shown."""
    buckets: dict[str, Bucket] = Field(default_factory=dict)
    last_contact_at: float = 0
    typing_until: float = 0
    menu: dict[str, Any] | None = None
    """The menu as this phone last loaded it."""
    menu_loaded_at: float = 0


class Item(BaseModel):
    """One thing on a follower's screen; beyond these fields each kind has its own."""

    model_config = ConfigDict(extra="allow")

    id: int = 0
    sender: Literal["me", "account", "system"] = Field(alias="from")
    kind: str
    at: str
    delivery: str | None = None
    send: str | None = None

    def shown(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude_none=True)


class Attempt(BaseModel):
    """One HTTP request to the account's server and what came of it."""

    number: int
    url: str
    copied: bool = False
    """A repeat beyond the platform's own attempts; its answer never reaches the screen."""
    started: str
    ms: float | None = None
    status: int | None = None
    outcome: str = "running"
    """`shown`, `nothing`, `desk`, `fault`, `ignored` (not answerable), or without an answer
    `timeout`, `refused` (no connection), `dropped` (lost on purpose)."""
    reason: str = ""
    query: dict[str, str] = Field(default_factory=dict)
    body: str = ""
    answer: str = ""
    answer_plain: str = ""

    def detail(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "copied": self.copied,
            "started": self.started,
            "ms": self.ms,
            "status": self.status,
            "outcome": self.outcome,
            "reason": self.reason,
            "request": {"url": self.url, "query": self.query, "body": self.body},
            "response": {"body": self.answer, "plain": self.answer_plain},
        }


State = Literal["sending", "shown", "nothing", "ignored", "failed", "unsent", "interrupted"]


class Delivery(BaseModel):
    """One message or event on its way to the account's server."""

    id: str
    appid: str
    openid: str
    made_at: str
    msg_type: str
    event: str = ""
    event_key: str = ""
    msg_id: str = ""
    create_time: int
    answerable: bool = True
    """Whether the platform would show an answer at all."""
    plain: str
    """The XML before encryption."""
    key: str
    state: State = "sending"
    reason: str = ""
    answer_plain: str = ""
    """The first answer that counted, decrypted."""
    same_answer: bool | None = None
    """Whether each repeat got the first answer again; null while nothing could be compared."""
    shown: list[dict[str, Any]] = Field(default_factory=list)
    attempts: list[Attempt] = Field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        final = next((a for a in reversed(self.attempts) if not a.copied), None)
        return {
            "id": self.id,
            "appid": self.appid,
            "openid": self.openid,
            "at": self.made_at,
            "state": self.state,
            "reason": self.reason,
            "msg_type": self.msg_type,
            "event": self.event,
            "key": self.key,
            "attempt_count": len(self.attempts),
            "ms": final.ms if final else None,
            "same_answer": self.same_answer,
        }

    def detail(self) -> dict[str, Any]:
        counted = [a for a in self.attempts if not a.copied]
        final = counted[-1] if counted else None
        return {
            **self.summary(),
            "answerable": self.answerable,
            "key_fields": self._key_fields(),
            "raw_in": {"plain": self.plain, "sent": final.body if final else ""},
            "raw_out": {
                "received": final.answer if final else "",
                "plain": final.answer_plain if final else "",
            },
            "attempts": [attempt.detail() for attempt in self.attempts],
            "shown": self.shown,
        }

    def _key_fields(self) -> dict[str, Any]:
        if self.msg_id:
            return {"MsgId": self.msg_id}
        fields: dict[str, Any] = {
            "FromUserName": self.openid,
            "CreateTime": self.create_time,
            "Event": self.event,
        }
        return {**fields, "EventKey": self.event_key} if self.event_key else fields
