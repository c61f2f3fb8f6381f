"""Failures of code that is not ours: whose they are, and how they are counted."""

from collections.abc import Callable


class PartFailed(Exception):
    """A part that a plugin brought along raised, or gave back what it must not.

    `owner` is the plugin. `count` is called by whoever has stored what became of the failure, once:
    a batch that is worked again after a conflict, or a dry run, must not count it twice.
    """

    def __init__(
        self, owner: str, part: str, error: BaseException, count: Callable[[], None]
    ) -> None:
        super().__init__(f"{part} of plugin {owner}: {type(error).__name__}: {error}")
        self.owner = owner
        self.part = part
        """Such as `handler weather.today` or `action weather.tell`."""
        self.error = error
        self.count = count


class PassedOver(PartFailed):
    """A handler that failed to decide; the next one is asked, so that the follower is not punished."""
