"""When to try again and when to give up. Plain rules."""

JOB_BASE_SECONDS = 1.0
JOB_LONGEST_SECONDS = 600.0

SEND_DELAYS = (1.0, 4.0, 15.0, 60.0)
"""Seconds before the second, third, … try of a message. Engine reference A6."""
SEND_TRIES = len(SEND_DELAYS) + 1


def job_delay(attempt: int, draw: float) -> float:
    """Seconds until a job that failed its `attempt`-th try (from 1) runs again.

    Doubles from one second up to ten minutes; `draw` (0 ≤ draw < 1) spreads it over half to one and
    a half of that, so that jobs that failed together do not come back together.
    """
    longest = min(JOB_LONGEST_SECONDS, JOB_BASE_SECONDS * 2.0 ** min(attempt - 1, 30))
    return longest * (0.5 + draw)


def send_delay(tries: int) -> float | None:
    """Seconds until a message that was refused for now `tries` times goes out again; None: never."""
    return SEND_DELAYS[tries - 1] if tries <= len(SEND_DELAYS) else None
