"""The action of this engine: hand over to a person."""

from typing import Annotated, ClassVar

from pydantic import Field

from app.core.actions import Action, ActionRegistry
from app.core.decisions import AccountView, Decision, Snapshot
from app.core.replies import TextReply
from app.engines.support.moves import HandOver

HANDED_OVER = "好的，已经为您转给人工，会有同事回复您。不等了的话，回复「取消」。"
ALREADY_QUEUED = "已经在为您转人工了，请稍等。"


def with_contact(words: str, account: AccountView) -> str:
    """The words, and how else to reach the shop."""
    return f"{words}\n{account.contact}" if account.contact else words


class HandOff(Action):
    """`handoff`: a person is wanted. The bot is silent from then on, and a dialogue is over."""

    name: ClassVar[str] = "handoff"
    text: Annotated[str, Field(max_length=500)] = ""
    """What the follower hears, instead of the usual; the shop's contact goes below it."""
    priority: Annotated[int, Field(ge=0, le=3)] | None = None
    """0 low, 1 normal, 2 high, 3 urgent."""

    def decide(self, snap: Snapshot) -> Decision:
        """Nothing moves for who is waiting already, or is with a person."""
        state = snap.conversation.state
        if state in ("bot", "resolved"):
            words = with_contact(self.text or HANDED_OVER, snap.account)
            moved = HandOver(snap.follower.id, "action", self.priority)
            return Decision(steps=(TextReply(words), moved), flow=None)
        words = with_contact(self.text or ALREADY_QUEUED, snap.account)
        said = (TextReply(words),) if state == "queued" else ()
        return Decision(steps=said, flow=None)

    def preview(self) -> str:
        return f"转人工：{self.text[:40]}" if self.text else "转人工"


def register(registry: ActionRegistry) -> None:
    """Makes this engine's actions known."""
    registry.add(HandOff)
