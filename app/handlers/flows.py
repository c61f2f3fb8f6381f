"""A dialogue that runs takes the follower's answer before anything else."""

from app.conversation.filters import InFlow
from app.conversation.router import Router
from app.core.decisions import Decision, Pass, Snapshot
from app.engines.replies.answers import is_answer
from app.engines.replies.source import Source
from app.engines.replies.walking import advance


def router(book: Source) -> Router:
    routes = Router("flows")

    @routes.decide(InFlow())
    def step(snap: Snapshot) -> Decision | Pass | None:
        """Passed on: what is no answer (taps, scans, follows), flows that are gone meanwhile, and
        dialogues that wait while a person is wanted."""
        state = snap.flow
        if state is None or not is_answer(snap.incoming):
            return None
        if state.paused and snap.conversation.state == "queued":
            return None
        flow = book.find_flow(snap.account.id, state.flow, state.version)
        decision = None if flow is None else advance(flow, state, snap)
        return Pass({"cut_off": state.flow}) if decision is None and state.version else decision

    return routes
