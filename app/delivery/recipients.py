"""What sending must know of people. `engines.followers` implements it, `runtime` wires it."""

from dataclasses import dataclass
from typing import Protocol

from app.db.tx import Tx


@dataclass(frozen=True, slots=True)
class Recipient:
    id: int
    account_id: int
    openid: str
    subscribed: bool | None
    """None: never told."""


class Recipients(Protocol):
    async def lock(self, tx: Tx, follower_id: int) -> Recipient | None:
        """Locks the follower's row until the transaction ends; None when there is none."""
        ...

    async def set_unsubscribed(self, tx: Tx, follower_id: int) -> None:
        """The platform says that they do not follow."""
        ...

    async def add_held(self, tx: Tx, follower_id: int, delta: int) -> None:
        """Counts messages that wait for the follower's next contact."""
        ...
