"""A number typed after a menu that went out as text."""

from dataclasses import replace

from app.conversation.filters import InFlow
from app.conversation.router import Decide, Router
from app.core.decisions import Decision, Pass, Snapshot
from app.engines.replies.options import OPTIONS, tapped


def router(*then: Decide) -> Router:
    """`then` are asked in order what they say to the option; one of a plugin that fails is passed
    over as ever."""
    routes = Router("options")
    for decide in then:
        routes.decide(InFlow(OPTIONS))(_meant(decide))
    return routes


def _meant(decide: Decide) -> Decide:
    def option(snap: Snapshot) -> Decision | Pass | None:
        incoming = tapped(snap)
        return None if incoming is None else decide(replace(snap, incoming=incoming))

    return option
