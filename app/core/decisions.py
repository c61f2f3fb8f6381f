"""What a handler is given and what it gives back. Both are plain values.

A handler is a synchronous function `decide(snapshot) -> Decision | None`: no database, clock or
network. What must be written is an `Effect`, applied set-wise for the whole batch afterwards.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any, ClassVar, Final, TypeAlias

from app.core.blame import PassedOver
from app.core.ids import AccountId, ConversationId, FollowerId
from app.core.incoming import Incoming
from app.core.replies import Reply


@dataclass(frozen=True, slots=True)
class AccountView:
    id: AccountId
    slug: str
    name: str
    timezone: str
    may_send: bool
    """Whether the account may send customer messages at all; if not, only passive answers exist."""
    contact: str = ""
    """What the fallback tells a follower who wants a person."""


@dataclass(frozen=True, slots=True)
class FollowerView:
    id: FollowerId
    new: bool
    """This is the first contact ever."""
    subscribed: bool | None
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ConversationView:
    id: ConversationId
    state: str
    """`bot`, `queued`, `assigned`, `snoozed` or `resolved`."""
    misses: int = 0
    """Contacts in a row that no handler had an answer to."""
    queued_at: datetime | None = None
    """While `queued`: since when a person is wanted."""
    said_at: datetime | None = None
    """While `queued`: when the follower last heard from us."""


@dataclass(frozen=True, slots=True)
class FlowState:
    """Where a follower stands in a multi-step dialogue."""

    flow: str
    step: int
    """The question asked, by its place in the plan."""
    answers: Mapping[str, Any]
    """Also to questions that come later, where one message answered several."""
    expires_at: datetime
    version: int = 0
    """The flow as it was at the beginning (`Flow.edition`); 0 for the newest."""
    path: tuple[int, ...] = ()
    """The questions answered so far, for going back; -1 where something was done for good."""
    paused: bool = False
    """A person held the conversation; the question is asked again afterwards."""
    misses: int = 0
    """Answers in a row that were not understood."""


@dataclass(frozen=True, slots=True)
class WindowView:
    """A live grant to send; see `app.delivery.window`."""

    bucket: str
    left: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a handler may know, read under the follower's lock."""

    account: AccountView
    key: str
    """The delivery's key: the same for each repeat, so what must happen once is named by it."""
    incoming: Incoming
    follower: FollowerView
    conversation: ConversationView
    flow: FlowState | None
    now: datetime
    windows: tuple[WindowView, ...] = ()
    called_by: str = ""
    """The words of the rule that answers, where an action may want to know what else was said."""
    nested: int = 0
    """How many dialogues have begun one out of the other for this contact."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to be written. Subclasses add fields; `kind` names the `EffectKind` that applies it."""

    kind: ClassVar[str]
    follower: FollowerId

    @property
    def settles(self) -> Hashable | None:
        """What it settles for good: of several effects that settle the same, whatever their kinds,
        only the last is applied. None: each is."""
        return None


class Keep(Enum):
    """`Decision.flow` when the follower stays where they are."""

    KEEP = "keep"


KEEP: Final = Keep.KEEP

Step: TypeAlias = Reply | Effect


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen, in order.

    Replies and effects may alternate; an effect's outcome may speak in its place. The first reply
    is the passive answer, texts next to each other are merged, the rest goes out by the ledger.
    """

    steps: tuple[Step, ...] = ()
    flow: FlowState | Keep | None = KEEP
    """The next state of the dialogue, `None` to end it."""
    missed: bool = False
    """Nobody had an answer; counts towards offering a person."""
    why: Mapping[str, Any] = field(default_factory=dict)
    """For the trace: which rule or binding, and the words that matched."""
    apart: str | None = None
    """Name of the apart handler whose answer takes the passive place. What is said beside it goes by
    the ledger; effects and the dialogue's state are written at once."""
    passed_over: tuple[PassedOver, ...] = ()
    """Handlers of plugins that were asked before and failed; set by the routing."""

    @staticmethod
    def say(*replies: Reply, **why: Any) -> "Decision":
        return Decision(steps=replies, why=why)


@dataclass(frozen=True, slots=True)
class Pass:
    """A handler has no answer, and something to say about it in the trace."""

    why: Mapping[str, Any]
