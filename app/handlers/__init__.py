"""The chat doors: what a follower says, to what an engine answers.

`builtin` lists them in the order they are asked; the first that decides wins.
"""

from collections.abc import Sequence

from app.conversation.router import Decide, Route, Router
from app.core.decisions import Decision, Snapshot
from app.engines.replies.book import Book
from app.handlers import bindings, fallback, flows, keywords, options


def builtin(book: Book, plugins: Sequence[Router] = ()) -> list[Router]:
    """Every router of the installation; those of plugins go before `fallback`, the last."""
    rule, bound = keywords.rule(book), bindings.bound(book)
    return [
        flows.router(book),
        options.router(rule, bound, *(_asked(route) for one in plugins for route in one.routes)),
        keywords.router(rule),
        bindings.router(bound),
        *plugins,
        fallback.router(),
    ]


def _asked(route: Route) -> Decide:
    """The handler with its filters, for who asks it outside the routing."""

    def asked(snap: Snapshot) -> Decision | None:
        if route.filters and not any(matches(snap) for matches in route.filters):
            return None
        return route.decide(snap)

    return asked
