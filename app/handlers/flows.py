"""A dialogue that runs takes the follower's answer before anything else."""

from app.conversation.filters import InFlow
from app.conversation.router import Router
from app.core.decisions import Decision, Snapshot
from app.engines.replies.flows import advance, is_answer
from app.engines.replies.source import Source


def router(book: Source) -> Router:
    routes = Router("flows")

    @routes.decide(InFlow())
    def step(snap: Snapshot) -> Decision | None:
        """Passed on: what is no answer (taps, scans, follows), and flows that are gone meanwhile."""
        if snap.flow is None or not is_answer(snap.incoming):
            return None
        flow = book.find_flow(snap.account.id, snap.flow.flow)
        return None if flow is None else advance(flow, snap.flow, snap)

    return routes
