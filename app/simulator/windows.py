"""What an account may send a follower by customer message, and until when.

Protocol reference 4.3. Whether grants add up is not stated by the platform; here each kind is a
bucket of its own, a new contact refills its bucket, and the one that ends first is spent first.
"""

from typing import Literal

from app.simulator.model import Bucket, Follower

Grant = Literal["message", "menu", "subscribe", "scan"]

_SIZE: dict[Grant, tuple[int, float]] = {
    "message": (5, 48 * 3600.0),
    "menu": (3, 60.0),
    "subscribe": (3, 60.0),
    "scan": (3, 60.0),
}

USED_UP = 45047
OUTSIDE = 45015


def grant(follower: Follower, kind: Grant, now: float) -> None:
    left, seconds = _SIZE[kind]
    follower.buckets[kind] = Bucket(left=left, ends_at=now + seconds)


def spend(follower: Follower, now: float) -> int:
    """Takes one message from the grant that ends first; 0, or the error code when there is none."""
    live = [bucket for bucket in follower.buckets.values() if bucket.ends_at > now]
    if not live:
        return OUTSIDE
    usable = [bucket for bucket in live if bucket.left > 0]
    if not usable:
        return USED_UP
    min(usable, key=lambda bucket: bucket.ends_at).left -= 1
    return 0


def is_open(follower: Follower, now: float) -> bool:
    return any(bucket.ends_at > now for bucket in follower.buckets.values())


def shown(follower: Follower, now: float) -> list[dict[str, object]]:
    """The live grants, for the screen."""
    return [
        {"kind": kind, "left": bucket.left, "seconds": round(bucket.ends_at - now)}
        for kind, bucket in sorted(follower.buckets.items())
        if bucket.ends_at > now
    ]
