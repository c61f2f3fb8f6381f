"""Changes of a conversation's state that a decision may ask for. Engine reference A2, A3.

They are written together with the contact that brought them, by `Inbound.write`: the conversation's
row moves once for each contact, and may be made by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from app.core.decisions import Effect, Step
from app.core.replies import Reply
from app.db.tx import Tx

HELD = frozenset({"assigned", "snoozed"})
"""States in which a person holds the conversation: nothing automatic answers."""


@dataclass(frozen=True, slots=True)
class HandOver(Effect):
    """A person is wanted: `bot` or `resolved` to `queued` (T3)."""

    kind: ClassVar[str] = "hand_over"
    to_state: ClassVar[str] = "queued"
    to_owner: ClassVar[str] = "queue"
    event: ClassVar[str] = "conversation.queued"

    trigger: str
    """What asked for it, such as `action`."""
    priority: int | None = None
    """0 low to 3 urgent; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class ReturnToBot(Effect):
    """Nobody is wanted any more: `queued` to `bot` (T9)."""

    kind: ClassVar[str] = "return_to_bot"
    to_state: ClassVar[str] = "bot"
    to_owner: ClassVar[str] = "bot"
    event: ClassVar[str] = "conversation.returned"

    trigger: str
    """`asked` by the follower, or `waited` too long."""


Move: TypeAlias = HandOver | ReturnToBot


def move_among(steps: Sequence[Step]) -> Move | None:
    """The first change of state that a decision asks for."""
    for step in steps:
        if isinstance(step, (HandOver, ReturnToBot)):
            return step
    return None


class HandOverKind:
    """Says nothing: whoever asks for it has the words."""

    kind: ClassVar[str] = HandOver.kind

    async def apply(self, tx: Tx, requests: Sequence[HandOver]) -> list[None]:
        return [None] * len(requests)

    def render(self, outcome: None) -> Reply | None:
        return None


class ReturnToBotKind:
    kind: ClassVar[str] = ReturnToBot.kind

    async def apply(self, tx: Tx, requests: Sequence[ReturnToBot]) -> list[None]:
        return [None] * len(requests)

    def render(self, outcome: None) -> Reply | None:
        return None
