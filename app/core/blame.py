"""Failures of code that is not ours: whose they are, and how they are counted."""

from collections.abc import Callable


def in_words(error: BaseException) -> str:
    """`LookupError: no such city`, as any database can keep it; also of an error that cannot say
    what is wrong."""
    try:
        words = str(error)
    except Exception:  # noqa: BLE001  # it is somebody else's class
        words = "it cannot be said in words"
    told = f"{type(error).__name__}: {words}".replace("\x00", "\ufffd")
    return told.encode(errors="replace").decode()


class PartFailed(Exception):
    """A part that a plugin brought along raised, or gave back what it must not.

    `owner` is the plugin. `count` is called by whoever has stored what became of the failure, once:
    a batch that is worked again after a conflict, or a dry run, must not count it twice.
    """

    def __init__(
        self, owner: str, part: str, error: BaseException, count: Callable[[], None]
    ) -> None:
        super().__init__(f"{part} of plugin {owner}: {in_words(error)}")
        self.owner = owner
        self.part = part
        """Such as `handler weather.today` or `action weather.tell`."""
        self.error = error
        self.count = count


class PassedOver(PartFailed):
    """A handler that failed to decide; the next one is asked, so that the follower is not punished."""
