"""A number typed after a menu that went out as text."""

from dataclasses import replace

from app.conversation.filters import InFlow
from app.conversation.router import Decide, Router
from app.core.decisions import Decision, Snapshot
from app.engines.replies.options import OPTIONS, tapped


def router(*then: Decide) -> Router:
    """`then` are asked in order what they say to the option."""
    routes = Router("options")

    @routes.decide(InFlow(OPTIONS))
    def option(snap: Snapshot) -> Decision | None:
        incoming = tapped(snap)
        if incoming is None:
            return None
        meant = replace(snap, incoming=incoming)
        return next((said for decide in then if (said := decide(meant)) is not None), None)

    return routes
