"""Where routing finds an account's rules: the book that processes follow, or one that stands still."""

from collections.abc import Iterable
from typing import Protocol

from app.core.actions import Action, ActionRegistry
from app.core.ids import AccountId
from app.engines.replies.actions import register
from app.engines.replies.compiled import EMPTY, Compiled, Stored, compile_book
from app.engines.replies.flows import Flow


class Source(Protocol):
    """What handlers ask; answered from memory. `Book` is one."""

    def current(self, account_id: AccountId) -> Compiled:
        """The account's rules as they are now."""
        ...

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None:
        """The newest of that name, 0, or the one of a state's version (`Flow.edition`)."""
        ...


class FixedBook:
    """The same rules for whoever asks: for tests of conversations, and for what might become of them.

    `others` are actions beside those of this engine. What cannot be used is named in
    `compiled.broken`.
    """

    def __init__(self, stored: Stored, others: Iterable[type[Action]] = ()) -> None:
        registry = ActionRegistry(others)
        self.compiled = EMPTY
        register(registry, self)
        self.compiled = compile_book(stored, registry)

    def current(self, account_id: AccountId) -> Compiled:
        return self.compiled

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None:
        return self.compiled.find_flow(name, version)
