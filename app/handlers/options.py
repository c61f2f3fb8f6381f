"""A number typed after a menu that went out as text."""

from dataclasses import replace
from typing import Any

from app.conversation.filters import InFlow
from app.conversation.router import Decide, Router
from app.core.decisions import Decision, Pass, Snapshot
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
        passed: dict[str, Any] = {}
        for decide in then:
            said = decide(meant)
            if isinstance(said, Decision):
                return replace(said, why={**passed, **said.why})
            if isinstance(said, Pass):
                passed |= said.why
        return None

    return routes
