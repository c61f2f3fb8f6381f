"""Whole conversations over the real routing, with everything a delivery would write kept in memory.

What `intake` reads before a decision and writes after it is mirrored here: the dialogue, tags, misses,
who follows, time. Nothing is written or sent; handlers that answer apart are named and not run, and an
effect whose outcome would speak is shown as the effect.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.conversation.compose import apology, merge
from app.conversation.reasons import place, reason_of
from app.conversation.rehearsal import NOBODY, shown_effect
from app.conversation.router import Routing
from app.conversation.script import KINDS, Conversation, StepInput
from app.core.decisions import (
    KEEP,
    AccountView,
    ConversationView,
    Decision,
    Effect,
    FlowState,
    FollowerView,
    Snapshot,
)
from app.core.ids import ConversationId
from app.core.incoming import Grant, Incoming, Kind
from app.core.replies import MenuReply, Reply, plain_text
from app.core.text import Language
from app.engines.followers.effects import TagFollower, UntagFollower
from app.engines.replies.conditions import Situation
from app.engines.replies.matcher import Explanation
from app.engines.replies.options import OPTIONS
from app.engines.replies.source import Source
from app.engines.replies.understanding import UNSUPPORTED
from app.engines.support.moves import HandOver, Move

_CONVERSATION = ConversationId(0)
_MEDIA = "test-media"
_JOINT = "\n\n"


@dataclass(frozen=True, slots=True)
class Came:
    """What came of one step."""

    messages: tuple[Reply, ...]
    effects: tuple[Mapping[str, Any], ...]
    flow: str | None
    """The dialogue the follower is in afterwards."""
    step: str | None
    """The question it asks."""
    tags: tuple[str, ...]
    """All the follower has afterwards."""
    missed: bool
    apart: str | None
    rule: str | None
    binding: str | None
    """`menu today`."""
    reasons: Mapping[Language, str]
    why: Mapping[str, Any]

    @property
    def text(self) -> str:
        """All that is said; a message that is no text by the words that stand for it."""
        return _JOINT.join(plain_text(reply) for reply in self.messages)

    @property
    def seen(self) -> tuple[object, ...]:
        """What makes an answer the same for the follower, and for the shop, as another."""
        effects = tuple(sorted(repr(effect) for effect in self.effects))
        return (self.messages, effects, self.flow, self.missed, self.apart)


@dataclass(frozen=True, slots=True)
class StepOutcome:
    number: int
    """From 1, waits included."""
    step: StepInput
    at: datetime
    came: Came | None
    """None while time passes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one conversation, step by step."""

    conversation: Conversation
    steps: tuple[StepOutcome, ...]


@dataclass(slots=True)
class _State:
    """Of the made-up follower, as the tables would have it."""

    now: datetime
    tags: frozenset[str]
    subscribed: bool | None
    new: bool
    flow: FlowState | None = None
    misses: int = 0
    stands: str = "bot"
    """`cs_conversation.state`."""
    queued_at: datetime | None = None
    said_at: datetime | None = None
    shown: tuple[Reply, ...] = ()
    """The last answer, whose options may be tapped."""

    def running(self) -> FlowState | None:
        """The dialogue that the next answer is for; numbered options of the program's own are none."""
        flow = self.flow
        return None if flow is None or flow.flow == OPTIONS or flow.expires_at <= self.now else flow

    def view(self) -> ConversationView:
        """As it is read before a decision: two of the times are known while `queued` alone."""
        if self.stands != "queued":
            return ConversationView(_CONVERSATION, self.stands, self.misses)
        return ConversationView(
            _CONVERSATION, self.stands, self.misses, self.queued_at, self.said_at
        )


class Player:
    """Runs conversations against one source of rules. Routing and source belong together."""

    def __init__(self, routing: Routing, source: Source, account: AccountView) -> None:
        self._routing = routing
        self._source = source
        self._account = account

    def run(self, conversation: Conversation, now: datetime) -> Outcome:
        """`now` is when it begins, where it does not say so itself."""
        follower = conversation.follower
        state = _State(
            now=self._moment(conversation.at) or now,
            tags=frozenset(follower.tags),
            subscribed=None if follower.new and not follower.follows else follower.follows,
            new=follower.new,
        )
        steps = tuple(
            self._step(state, conversation.name, number, step)
            for number, step in enumerate(conversation.steps, 1)
        )
        return Outcome(conversation, steps)

    def _moment(self, at: datetime | None) -> datetime | None:
        if at is None or at.tzinfo is not None:
            return at
        return at.replace(tzinfo=ZoneInfo(self._account.timezone))

    def _step(self, state: _State, name: str, number: int, step: StepInput) -> StepOutcome:
        if step.wait is not None:
            state.now += step.wait
            return StepOutcome(number, step, state.now, None)
        snap = Snapshot(
            account=self._account,
            key=step.key or f"test:{name}:{number}",
            incoming=incoming_of(step, state.subscribed, state.shown),
            follower=FollowerView(NOBODY, state.new, state.subscribed, state.tags),
            conversation=state.view(),
            flow=state.flow,
            now=state.now,
        )
        decision = self._decide(snap)
        _advance(state, snap, decision)
        return StepOutcome(number, step, state.now, self._came(state, snap, decision))

    def _decide(self, snap: Snapshot) -> Decision:
        """A handler that fails is what it is for a delivery: an apology."""
        try:
            return self._routing.decide(snap)
        except Exception as error:  # noqa: BLE001  # any handler may be at fault; shown in `why`
            words = [apology(snap.account)] if snap.incoming.answerable else []
            return Decision.say(*words, fault=type(error).__name__)

    def _came(self, state: _State, snap: Snapshot, decision: Decision) -> Came:
        why = decision.why
        explained = self._explained(snap)
        running = state.running()
        return Came(
            messages=state.shown,
            effects=tuple(shown_effect(s) for s in decision.steps if isinstance(s, Effect)),
            flow=running.flow if running else None,
            step=self._asked(running) if running else None,
            tags=tuple(sorted(state.tags)),
            missed=decision.missed,
            apart=decision.apart,
            rule=why.get("name") if "rule" in why else None,
            binding=place(why) if "binding" in why else None,
            reasons={lang: reason_of(why, explained, lang) for lang in ("zh", "en")},
            why=why,
        )

    def _asked(self, running: FlowState) -> str | None:
        """The name that the answer to the question asked is saved as."""
        flow = self._source.find_flow(self._account.id, running.flow, running.version)
        step = None if flow is None else flow.plan.steps[running.step]
        return getattr(step, "save_as", None)

    def _explained(self, snap: Snapshot) -> Explanation:
        if snap.incoming.kind is not Kind.TEXT:
            return Explanation(None)
        compiled = self._source.current(snap.account.id)
        return compiled.explain(snap.incoming.text, Situation.of(snap))


def incoming_of(
    step: StepInput, subscribed: bool | None, shown: tuple[Reply, ...] = ()
) -> Incoming:
    """The contact that a step stands for, as the platform would tell of it.

    `shown` is what was said last: a tap on an option of it comes as a text with the option's words.
    """
    if step.say is not None:
        return Incoming(Kind.TEXT, text=step.say, grant=Grant.MESSAGE)
    if step.tap is not None:
        words = _option(step.tap, shown)
        if words is None:
            return Incoming(Kind.MENU, key=step.tap, grant=Grant.MENU)
        return Incoming(Kind.TEXT, text=words, key=step.tap, grant=Grant.MENU)
    if step.scan is not None:
        if subscribed:
            return Incoming(Kind.SCAN, key=step.scan, grant=Grant.SCAN)
        return Incoming(Kind.FOLLOW, key=step.scan, grant=Grant.SUBSCRIBE)
    if step.follow is not None:
        return Incoming(Kind.FOLLOW, key=step.follow, grant=Grant.SUBSCRIBE)
    if step.unfollow:
        return Incoming(Kind.UNFOLLOW, answerable=False)
    return _sent(step)


def _sent(step: StepInput) -> Incoming:
    kind = KINDS[step.send or ""]
    words = UNSUPPORTED if step.send == "sticker" else step.words or ""
    media = _MEDIA if kind in (Kind.IMAGE, Kind.VOICE, Kind.VIDEO) else ""
    data = {"latitude": 31.23, "longitude": 121.47} if kind is Kind.POSITION else {}
    return Incoming(kind, text=words, media_id=media, data=data, grant=Grant.MESSAGE)


def _option(key: str, shown: tuple[Reply, ...]) -> str | None:
    """The words of an option that was just shown."""
    menus = [reply for reply in shown if isinstance(reply, MenuReply)]
    return next((words for menu in menus for id_, words in menu.options if id_ == key), None)


def _advance(state: _State, snap: Snapshot, decision: Decision) -> None:
    """What intake would write."""
    kind = snap.incoming.kind
    apart = decision.apart is not None
    steps = () if apart else decision.steps
    state.shown = tuple(merge(step for step in steps if not isinstance(step, Effect)))
    if not apart and decision.flow is not KEEP:
        state.flow = decision.flow
    for step in steps:
        if isinstance(step, TagFollower):
            state.tags |= {step.name}
        elif isinstance(step, UntagFollower):
            state.tags -= {step.name}
    if decision.missed:
        state.misses += 1
    elif decision.steps or apart:
        state.misses = 0
    if state.shown:
        state.said_at = state.now
    move = next((step for step in steps if isinstance(step, Move)), None)
    _move(state, kind, move)
    if kind in (Kind.FOLLOW, Kind.UNFOLLOW):
        state.subscribed = kind is Kind.FOLLOW
    state.new = False


def _move(state: _State, kind: Kind, move: Move | None) -> None:
    """Who the conversation is with afterwards."""
    if kind is Kind.UNFOLLOW:
        state.stands = "resolved"
    elif move is not None:
        state.stands = move.to_state
    elif state.stands == "resolved":
        state.stands = "bot"
    if move is not None:
        state.queued_at = state.now if isinstance(move, HandOver) else None
