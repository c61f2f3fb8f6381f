"""Effects on followers that decisions may ask for."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from app.core.clock import Clock
from app.core.decisions import Effect
from app.core.ids import FollowerId, Ids
from app.core.replies import Reply
from app.db.tx import Tx
from app.engines.followers.tagging import Tagging


@dataclass(frozen=True, slots=True)
class TagFollower(Effect):
    kind: ClassVar[str] = "tag"

    name: str
    key: str
    """The delivery or request that asks."""

    @property
    def settles(self) -> Hashable:
        return _tag_of(self.follower, self.name)


@dataclass(frozen=True, slots=True)
class UntagFollower(Effect):
    kind: ClassVar[str] = "untag"

    name: str

    @property
    def settles(self) -> Hashable:
        return _tag_of(self.follower, self.name)


def _tag_of(follower: FollowerId, name: str) -> Hashable:
    """Put on and taken off in one list of actions, a tag is as the last of them has it."""
    return ("tag", follower, name)


class TagKind:
    """Outcome: whether the tag is new on the follower. Says nothing."""

    kind: ClassVar[str] = "tag"

    def __init__(self, ids: Ids, clock: Clock) -> None:
        self._tagging = Tagging(ids, clock)

    async def apply(self, tx: Tx, requests: Sequence[TagFollower]) -> list[bool]:
        return await self._tagging.add_many(tx, [(r.follower, r.name, r.key) for r in requests])

    def render(self, outcome: bool) -> Reply | None:
        return None


class UntagKind:
    """Outcome: whether the follower had the tag. Says nothing."""

    kind: ClassVar[str] = "untag"

    def __init__(self, ids: Ids, clock: Clock) -> None:
        self._tagging = Tagging(ids, clock)

    async def apply(self, tx: Tx, requests: Sequence[UntagFollower]) -> list[bool]:
        return await self._tagging.remove_many(tx, [(r.follower, r.name) for r in requests])

    def render(self, outcome: bool) -> Reply | None:
        return None
