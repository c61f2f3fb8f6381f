"""What a failed call to the platform means for the message it carried. Plain rules; A6."""

from dataclasses import dataclass
from enum import Enum

from app.db.faults import is_database, is_passing
from app.delivery.retry import send_delay
from app.wechat.errors import WechatError
from app.wechat.failures import NotReached, OutcomeUnknown, TokenUnavailable

WINDOW_OVER = 45015
QUOTA_USED = 45047
UNSUBSCRIBED = frozenset({43004, 50005})
"""The receiver does not follow."""
PAUSES = {45009: 600.0, 45011: 60.0}
"""Seconds for which an account sends nothing: its quota of the day, or of the minute, is used up."""


class Kind(Enum):
    AGAIN = "queued"
    FAILED = "failed"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    kind: Kind
    code: str
    words: str
    again_seconds: float = 0.0
    """For `AGAIN`: how long to wait."""
    pause_seconds: float = 0.0
    """How long the whole account stops."""
    unsubscribed: bool = False
    window_over: bool = False
    quota_used: bool = False

    @property
    def certainly_not_sent(self) -> bool:
        """The send may be given back to its window, unless the platform says that is used up."""
        return self.kind is not Kind.UNKNOWN and not (self.window_over or self.quota_used)


def judge(error: Exception, tries: int) -> Verdict:
    """The verdict on try number `tries` (from 1).

    Only what certainly did not arrive, or was refused, may go out again; whatever else goes wrong
    during the call leaves the outcome unknown.
    """
    if isinstance(error, WechatError):
        return _refused(error, tries)
    if isinstance(error, NotReached | TokenUnavailable):
        return _again(error.code, error.say(), tries)
    if is_database(error) and is_passing(error):  # the token could not be read: nothing was sent
        return _again("DATABASE", type(error).__name__, tries)
    if isinstance(error, OutcomeUnknown):
        return Verdict(Kind.UNKNOWN, error.code, error.say())
    return Verdict(Kind.UNKNOWN, type(error).__name__, str(error))


def _refused(error: WechatError, tries: int) -> Verdict:
    code, words = str(error.code), error.say()
    if error.code == WINDOW_OVER:
        return Verdict(Kind.BLOCKED, code, words, window_over=True)
    if error.code == QUOTA_USED:
        return Verdict(Kind.BLOCKED, code, words, quota_used=True)
    if error.code in UNSUBSCRIBED:
        return Verdict(Kind.FAILED, code, words, unsubscribed=True)
    pause = PAUSES.get(error.code, 0.0)
    if pause or error.meaning.retry:
        return _again(code, words, tries, pause)
    return Verdict(Kind.FAILED, code, words)


def _again(code: str, words: str, tries: int, pause: float = 0.0) -> Verdict:
    delay = send_delay(tries)
    if delay is None:
        return Verdict(Kind.FAILED, code, words, pause_seconds=pause)
    return Verdict(Kind.AGAIN, code, words, again_seconds=max(delay, pause), pause_seconds=pause)
