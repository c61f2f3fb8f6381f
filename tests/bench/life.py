"""Months of an account's life as rows: who came when, what they typed, what they were answered.

Rows come in the order in which they would have been written, so that tables lie on disk as they do
after months: followers by first contact, messages by time, an active follower's rows anywhere
between the others'. Everything is drawn from one seed.
"""

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson

from app.core.ids import EPOCH_MS, short_code
from tests.bench import shop
from tests.bench.load import FIRST_ID, openid_of

DAYS = 180
MESSAGES = 10_000_000
RECEIPTS_DAYS, EVENTS_DAYS, WINDOW_HOURS = 1, 7, 48
_SLOT = 1 << 12
_ACTIVE_SHARE = 0.2
"""Of the contacts that are not a first one, those of the active followers."""
_SCATTER = 617_053
_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_TAGS = ("会员", "老客", "学生", "上班族", "常点拿铁")
Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Size:
    followers: int = shop.MANY_FOLLOWERS
    messages: int = MESSAGES
    active: int = shop.FOLLOWERS
    """Of the followers, those that the narrow load is drawn from."""
    days: int = DAYS

    @property
    def turns(self) -> int:
        return self.messages // 2


@dataclass(frozen=True, slots=True)
class Words:
    """How a database takes what Python's own types do not say."""

    null: Any
    true: Any
    false: Any
    escape: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows for one table."""

    table: str
    columns: Sequence[str]
    rows: Iterator[Row]


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A text and its answer, ready to be put into rows."""

    text: str
    trace: str
    answer: str
    body: str


class Life:
    """Everything of one account up to `until`."""

    def __init__(
        self,
        size: Size,
        account_id: int,
        rules: Mapping[str, int],
        until: datetime,
        words: Words,
    ) -> None:
        """`rules`: the ids of the stored rules by their names."""
        self.size = size
        self._account = account_id
        self._words = words
        self._until_ms = int(until.timestamp() * 1000) - EPOCH_MS
        self._start_ms = self._until_ms - size.days * _DAY_MS
        self._first = array("q")
        self._last = array("q", bytes(8 * size.followers))
        self._turns = array("q", bytes(8 * size.followers))
        self._newest = array("q", bytes(8 * size.followers))
        self._spoken = [_spoken(text, rules, words.escape) for text in shop.texts()]
        self._receipts: list[Row] = []
        self._events: list[Row] = []
        scatter = _SCATTER
        while math.gcd(scatter, size.followers) != 1:
            scatter += 1
        self._scatter = scatter

    @property
    def since(self) -> datetime:
        """When it began."""
        return datetime.fromtimestamp((self._start_ms + EPOCH_MS) / 1000, UTC)

    def messages(self) -> Rows:
        """To be taken to the end before anything else."""
        columns = (
            "id account_id conversation_id seq follower_id direction author_kind kind body text private"
            " wx_msg_id receipt_key wx_created_at created_at raw trace"
        )
        return Rows("cs_message", columns.split(), self._messages())

    def rest(self) -> Iterator[Rows]:
        """All other tables."""
        yield Rows("receipt", _RECEIPT.split(), iter(self._receipts))
        yield Rows("event", _EVENT.split(), iter(self._events))
        yield Rows("follower", _FOLLOWER.split(), self._followers())
        yield Rows("follower_profile", _PROFILE.split(), self._profiles())
        yield Rows("follow_history", _HISTORY.split(), self._histories())
        yield Rows("cs_conversation", _CONVERSATION.split(), self._conversations())
        yield Rows("send_window", _WINDOW.split(), self._windows())
        yield Rows("flow_state", _DIALOGUE.split(), self._dialogues())
        yield Rows("tag", ["id", "account_id", "name", "created_at"], self._tags())
        yield Rows("follower_tag", _TAGGED.split(), self._tagged())

    def _messages(self) -> Iterator[Row]:
        account, null, false = self._account, self._words.null, self._words.false
        line = self._words.escape("\n")
        random, spoken = Random(7), self._spoken
        texts, rand = len(spoken), random.random
        first, last, turns, newest = self._first, self._last, self._turns, self._newest
        for turn, ms, who in self._contacts(rand):
            said = int(rand() * texts)
            one = spoken[said]
            last[who], newest[who] = ms, said
            seq = turns[who] = turns[who] + 1
            born = first[who]
            follower = born << 22 | _SLOT | 3
            conversation = follower - 1
            seconds, at = (ms + EPOCH_MS) // 1000, moment(ms)
            message_id = FIRST_ID - self.size.turns + turn
            key = f"w:m:{message_id}"
            openid = openid_of(who * self._scatter % self.size.followers)
            raw = (
                f"<xml><ToUserName><![CDATA[{shop.ORIGINAL_ID}]]></ToUserName>{line}"
                f"<FromUserName><![CDATA[{openid}]]></FromUserName>{line}"
                f"<CreateTime>{seconds}</CreateTime>{line}<MsgType><![CDATA[text]]></MsgType>{line}"
                f"<Content><![CDATA[{one.text}]]></Content>{line}<MsgId>{message_id}</MsgId>{line}</xml>"
            )
            inbound = ms << 22 | _SLOT
            yield (
                inbound, account, conversation, 2 * seq - 1, follower, "in", "follower", "text", "{}",
                one.text, false, message_id, key, seconds, at, raw, one.trace,
            )  # fmt: skip
            yield (
                inbound | 1, account, conversation, 2 * seq, follower, "out", "bot", "text", one.body,
                one.answer, false, null, null, null, at, null, null,
            )  # fmt: skip
            if ms >= self._until_ms - EVENTS_DAYS * _DAY_MS:
                self._remember(ms, key, openid, conversation, 2 * seq - 1, one)

    def _contacts(self, rand: Callable[[], float]) -> Iterator[tuple[int, int, int]]:
        """Number, milliseconds, and who, counted by first contact; each new one at an even distance."""
        turns, followers = self.size.turns, self.size.followers
        span, first = self.size.days * _DAY_MS, self._first
        active, known = self._active(), 0
        born = 0
        for turn in range(turns):
            ms = self._start_ms + turn * span // turns
            if turn * followers // turns >= born:
                who = born
                first.append(ms)
                born += 1
                while known < len(active) and active[known] < born:
                    known += 1
            elif known and rand() < _ACTIVE_SHARE:
                who = active[int(rand() * known)]
            else:
                who = int(rand() * born)
            yield turn, ms, who

    def _active(self) -> list[int]:
        """Those that the narrow load is drawn from, in the order in which they came."""
        back = pow(self._scatter, -1, self.size.followers)
        return sorted(number * back % self.size.followers for number in range(self.size.active))

    def _remember(
        self, ms: int, key: str, openid: str, conversation: int, seq: int, one: _Spoken
    ) -> None:
        at, message = moment(ms), ms << 22 | _SLOT
        for place, direction in ((0, "in"), (1, "out")):
            payload = (
                f'{{"message_id":"{message | place}","seq":{seq + place},'
                f'"direction":"{direction}","kind":"text"}}'
            )
            self._events.append(
                (self._account, "message", "message.created", "conversation", conversation,
                 seq + place, payload, at)
            )  # fmt: skip
        if ms < self._until_ms - RECEIPTS_DAYS * _DAY_MS:
            return
        answer = (
            f"<xml><ToUserName><![CDATA[{openid}]]></ToUserName><FromUserName><![CDATA["
            f"{shop.ORIGINAL_ID}]]></FromUserName><CreateTime>{(ms + EPOCH_MS) // 1000}</CreateTime>"
            f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{one.answer}]]></Content></xml>"
        )
        self._receipts.append((key, self._account, 200, answer, 1, moment(ms + _DAY_MS)))

    def _followers(self) -> Iterator[Row]:
        true, false = self._words.true, self._words.false
        for who, ms in enumerate(self._first):
            openid = openid_of(who * self._scatter % self.size.followers)
            follows = false if who % 10 == 9 else true
            on = (ms + EPOCH_MS) // 1000
            seen = moment(self._last[who])
            yield ms << 22 | _SLOT | 3, self._account, openid, follows, on, 0, seen

    def _profiles(self) -> Iterator[Row]:
        null = self._words.null
        for who, ms in enumerate(self._first):
            scene, code = ("qrcode", f"table-{who % 500}") if who % 2 else (null, null)
            at = moment(ms)
            yield ms << 22 | _SLOT | 3, self._account, scene, code, at, at

    def _histories(self) -> Iterator[Row]:
        null = self._words.null
        for who, ms in enumerate(self._first):
            scene, code = ("qrcode", f"table-{who % 500}") if who % 2 else (null, null)
            on, at = (ms + EPOCH_MS) // 1000, moment(ms)
            identity = ms << 22 | _SLOT
            yield identity | 4, self._account, identity | 3, "follow", scene, code, on, at

    def _conversations(self) -> Iterator[Row]:
        false = self._words.false
        for who, ms in enumerate(self._first):
            conversation = ms << 22 | _SLOT | 2
            seq, at = 2 * self._turns[who], moment(self._last[who])
            preview = self._spoken[self._newest[who]].answer[:60]
            yield (
                conversation, self._account, short_code(conversation), conversation + 1, "bot", "bot", 1,
                seq, seq, at, at, false, 0, 0, 0, preview,
            )  # fmt: skip

    def _windows(self) -> Iterator[Row]:
        """Of contacts so recent that maintenance has not thrown them away."""
        for who, ms in enumerate(self._first):
            last = self._last[who]
            if last < self._until_ms - 2 * WINDOW_HOURS * _HOUR_MS:
                continue
            until = moment(last + WINDOW_HOURS * _HOUR_MS)
            key = f"w:m:{FIRST_ID - 1 - who}"
            yield ms << 22 | _SLOT | 3, "message", self._account, key, moment(last), until, 5, 0, 0

    def _dialogues(self) -> Iterator[Row]:
        """Begun by some in the last days, and never ended."""
        for who, ms in enumerate(self._first):
            last = self._last[who]
            if who % 10 == 0 and last >= self._until_ms - EVENTS_DAYS * _DAY_MS:
                at, until = moment(last), moment(last + _HOUR_MS // 6)
                yield ms << 22 | _SLOT | 3, self._account, "booking", 1, '{"size":"3"}', until, at

    def _tags(self) -> Iterator[Row]:
        for number, name in enumerate(_TAGS, 1):
            yield number, self._account, name, moment(self._start_ms)

    def _tagged(self) -> Iterator[Row]:
        for who, ms in enumerate(self._first):
            if who % 3 == 0:
                tag = who % len(_TAGS) + 1
                yield ms << 22 | _SLOT | 3, tag, self._account, "w:m:1", moment(ms)


_RECEIPT = "key account_id status answer tries expires_at"
_EVENT = "account_id topic kind aggregate_type aggregate_id aggregate_seq payload created_at"
_FOLLOWER = "id account_id openid subscribed subscribed_on held seen_at"
_PROFILE = "follower_id account_id first_scene first_code first_followed_at updated_at"
_HISTORY = "id account_id follower_id change scene code wx_created_at at"
_CONVERSATION = (
    "id account_id number follower_id state owner_kind priority version last_message_seq"
    " last_inbound_at last_outbound_at snooze_until_reply reopen_count bot_epoch bot_misses preview"
)
_WINDOW = "follower_id bucket account_id source_key granted_at expires_at quota used used_by_bot"
_DIALOGUE = "follower_id account_id flow step answers expires_at updated_at"
_TAGGED = "follower_id tag_id account_id source_key created_at"


def moment(ms: int) -> str:
    """Milliseconds since the ids' epoch as both databases read it."""
    found = datetime.fromtimestamp((ms + EPOCH_MS) / 1000, UTC)
    return found.isoformat(" ", "microseconds")[:26]


def _spoken(text: str, rules: Mapping[str, int], escape: Callable[[str], str]) -> _Spoken:
    answer = shop.answers()[text]
    rule = next(rule for rule in shop.TEN if rule.answer == answer)
    trace = {
        "handler": "keywords.rule",
        "rule": str(rules[rule.name]),
        "name": rule.name,
        "kind": rule.kind,
        "word": rule.word,
    }
    body = {"kind": "text", "text": answer}
    return _Spoken(
        text, escape(orjson.dumps(trace).decode()), answer, escape(orjson.dumps(body).decode())
    )
