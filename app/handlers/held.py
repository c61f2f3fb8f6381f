"""A person holds the conversation: what comes is stored for them, nothing automatic answers."""

from dataclasses import replace
from datetime import timedelta

from app.conversation.router import Router
from app.core.decisions import KEEP, Decision, FlowState, Keep, Snapshot
from app.core.incoming import Kind
from app.engines.replies.options import OPTIONS
from app.engines.support.moves import HELD

WAITS_FOR = timedelta(days=3)
"""How long a dialogue waits for the conversation to be the bot's again, from the last contact on.
Less than superseded flows are kept."""


def router() -> Router:
    routes = Router("held")

    @routes.decide()
    def held(snap: Snapshot) -> Decision | None:
        """An unfollow is passed on: it ends everything."""
        state = snap.conversation.state
        if state not in HELD or snap.incoming.kind is Kind.UNFOLLOW:
            return None
        return Decision(flow=paused(snap), why={"held": state})

    return routes


def paused(snap: Snapshot) -> FlowState | Keep:
    """The dialogue that runs, put by until the conversation is the bot's again."""
    flow = snap.flow
    if flow is None or flow.flow == OPTIONS or flow.expires_at <= snap.now:
        return KEEP
    return replace(flow, paused=True, expires_at=snap.now + WAITS_FOR)
