"""The handlers over rules that stand still: what a book would answer, without a database."""

from collections.abc import Iterable, Sequence

from app.conversation.router import Router, Routing
from app.conversation.tester import Player
from app.core.actions import Action
from app.core.decisions import AccountView
from app.engines.replies.compiled import Broken, Stored
from app.engines.replies.source import FixedBook
from app.engines.support.actions import HandOff
from app.handlers import builtin


class Offline:
    """A book as it would answer; `player` runs conversations against it."""

    def __init__(
        self,
        stored: Stored,
        account: AccountView,
        *,
        actions: Iterable[type[Action]] = (),
        routers: Sequence[Router] = (),
    ) -> None:
        """`actions` and `routers` are those of plugins."""
        book = FixedBook(stored, (HandOff, *actions))
        self.version = stored.version
        self.broken: tuple[Broken, ...] = book.compiled.broken
        """What of the book cannot be used here."""
        self.player = Player(Routing(builtin(book, routers)), book, account)
