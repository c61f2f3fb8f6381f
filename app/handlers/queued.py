"""A person is wanted and none is there yet: what is said is stored for them. Engine reference A3."""

from datetime import timedelta

from app.conversation.router import Router
from app.core.decisions import KEEP, Decision, FlowState, Keep, Snapshot
from app.core.replies import TextReply
from app.core.text import normalise
from app.engines.replies.answers import is_answer
from app.engines.replies.options import OPTIONS, tapped
from app.engines.replies.understanding import typed
from app.engines.support.actions import with_contact
from app.engines.support.moves import ReturnToBot
from app.handlers.held import paused

NO_LONGER = ("取消", "0")
"""Said by who would rather go on without a person."""
REASSURED_EVERY = timedelta(minutes=5)
WAITED = timedelta(hours=24)
"""After this long without a person the bot takes over again, and says so."""

STILL_WAITING = "您的留言已收到，正在为您找人，请稍候。不等了的话，回复「取消」。"
RETURNED = "好的，不等人工了，我继续为您服务。"
NOBODY_CAME = "抱歉，一直没有同事能来接待，由我先为您服务；您的留言都记着，会有人看。"


def router() -> Router:
    routes = Router("queued")

    @routes.decide()
    def queued(snap: Snapshot) -> Decision | None:
        """Taps, scans and follows are answered as ever: only what is said is meant for a person."""
        if snap.conversation.state != "queued" or not is_answer(snap.incoming) or _is_tap(snap):
            return None
        if normalise(typed(snap.incoming)) in NO_LONGER:
            return _returned(snap, RETURNED, "asked")
        since = snap.conversation.queued_at
        if since is not None and snap.now - since >= WAITED:
            return _returned(snap, with_contact(NOBODY_CAME, snap.account), "waited")
        return Decision(steps=_reassurance(snap), flow=_waiting(snap), why={"queued": True})

    return routes


def _is_tap(snap: Snapshot) -> bool:
    """An option of a message menu, tapped, or by its number where the menu came as text."""
    flow = snap.flow
    offered = flow is not None and flow.flow == OPTIONS and flow.expires_at > snap.now
    return bool(snap.incoming.key) or (offered and tapped(snap) is not None)


def _returned(snap: Snapshot, words: str, trigger: str) -> Decision:
    moved = ReturnToBot(snap.follower.id, trigger)
    return Decision(steps=(TextReply(words), moved), why={"returned": trigger})


def _waiting(snap: Snapshot) -> FlowState | Keep:
    """A dialogue that a person interrupted goes on waiting."""
    return paused(snap) if snap.flow is not None and snap.flow.paused else KEEP


def _reassurance(snap: Snapshot) -> tuple[TextReply, ...]:
    """At most every five minutes, and only where it can be the passive answer: it costs no send."""
    heard = snap.conversation.said_at
    if not snap.incoming.answerable or (heard and snap.now - heard < REASSURED_EVERY):
        return ()
    return (TextReply(with_contact(STILL_WAITING, snap.account)),)
