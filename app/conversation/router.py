"""Which handler answers: routers in order, the first that decides wins."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from app.conversation.filters import Filter
from app.core.blame import PassedOver
from app.core.decisions import Decision, Pass, Snapshot

Decide: TypeAlias = Callable[[Snapshot], Decision | Pass | None]
Apart: TypeAlias = Callable[..., Awaitable[Any]]
"""`async (context) -> Reply | sequence of replies | None`; see `conversation.context`."""


@dataclass(frozen=True, slots=True)
class Route:
    filters: tuple[Filter, ...]
    """Any of them suffices; none at all means always."""
    decide: Decide
    name: str


class Router:
    """A named list of handlers.

    `decide` handlers are synchronous functions of a snapshot; None passes the contact on to the
    next, `Pass` too, with words for the trace. `apart` handlers may use the network, their own
    transactions and time.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.routes: list[Route] = []
        self.aparts: dict[str, Apart] = {}

    def decide(self, *filters: Filter) -> Callable[[Decide], Decide]:
        def register(handler: Decide) -> Decide:
            self.routes.append(Route(filters, handler, f"{self.name}.{handler.__name__}"))
            return handler

        return register

    def apart(self, *filters: Filter) -> Callable[[Apart], Apart]:
        def register(handler: Apart) -> Apart:
            name = f"{self.name}.{handler.__name__}"
            if name in self.aparts:
                raise ValueError(f"two apart handlers are named {name}")
            self.aparts[name] = handler
            self.routes.append(Route(filters, lambda _: Decision(apart=name), name))
            return handler

        return register


class Routing:
    """All routers of the installation, in order."""

    def __init__(self, routers: Sequence[Router]) -> None:
        self._routes = [route for router in routers for route in router.routes]
        self.aparts: dict[str, Apart] = {}
        for router in routers:
            clash = self.aparts.keys() & router.aparts.keys()
            if clash:
                raise ValueError(f"two apart handlers are named {min(clash)}")
            self.aparts.update(router.aparts)

    def decide(self, snap: Snapshot) -> Decision:
        """The first decision; its `why` names the handler, and says if it was a miss. Nobody:
        `Decision(missed=True)`.

        A handler of a plugin that fails is passed over, and named under `failed`.
        """
        passed: Mapping[str, Any] = {}
        failed: tuple[PassedOver, ...] = ()
        for route in self._routes:
            if route.filters and not any(matches(snap) for matches in route.filters):
                continue
            try:
                decision = route.decide(snap)
            except PassedOver as error:
                failed = (*failed, error)
                continue
            if decision is None:
                continue
            if isinstance(decision, Pass):
                passed = {**passed, **decision.why}
                continue
            why = {"handler": route.name, **passed, **decision.why}
            if decision.missed:
                why["missed"] = True
            decided = replace(decision, why=why)
            return _with_failures(decided, failed) if failed else decided
        nobody = Decision(missed=True, why={"handler": None, **passed, "missed": True})
        return _with_failures(nobody, failed)


def _with_failures(decision: Decision, failed: tuple[PassedOver, ...]) -> Decision:
    why = {**decision.why, "failed": [error.owner for error in failed]} if failed else decision.why
    return replace(decision, passed_over=failed, why=why)
