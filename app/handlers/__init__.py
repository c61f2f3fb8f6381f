"""The chat doors: what a follower says, to what an engine answers.

`builtin` lists them in the order they are asked; the first that decides wins.
"""

from collections.abc import Sequence

from app.conversation.router import Decide, Route, Router
from app.core.decisions import Decision, Pass, Snapshot
from app.engines.replies.source import Source
from app.handlers import bindings, fallback, flows, held, keywords, options, queued, silence


def builtin(book: Source, plugins: Sequence[Router] = ()) -> list[Router]:
    """Every router of the installation; those of plugins go before `fallback`, the last."""
    rule, bound = keywords.rule(book), bindings.bound(book)
    return [
        held.router(),
        flows.router(book),
        queued.router(),
        silence.router(book),
        options.router(rule, bound, *(_asked(route) for one in plugins for route in one.routes)),
        keywords.router(rule),
        bindings.router(bound),
        *plugins,
        fallback.router(),
    ]


def _asked(route: Route) -> Decide:
    """The handler with its filters, for who asks it outside the routing."""

    def asked(snap: Snapshot) -> Decision | Pass | None:
        if route.filters and not any(matches(snap) for matches in route.filters):
            return None
        return route.decide(snap)

    return asked
