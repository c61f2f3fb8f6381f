"""Followers as the send ledger knows them."""

from sqlalchemy import bindparam, select, update

from app.db.tx import Tx
from app.delivery.recipients import Recipient
from app.engines.followers.models import Follower

_LOCK = (
    select(Follower.id, Follower.account_id, Follower.openid, Follower.subscribed)
    .where(Follower.id == bindparam("follower"))
    .with_for_update()
)


async def lock_follower(tx: Tx, follower: int) -> Recipient | None:
    """Locks the follower until the end of `tx`, waiting for whoever holds it."""
    row = await tx.first(_LOCK, {"follower": follower})
    if row is None:
        return None
    return Recipient(row.id, row.account_id, row.openid, row.subscribed)


class FollowerRecipients:
    """Implements `delivery.recipients.Recipients`."""

    async def lock(self, tx: Tx, follower_id: int) -> Recipient | None:
        return await lock_follower(tx, follower_id)

    async def set_unsubscribed(self, tx: Tx, follower_id: int) -> None:
        """The platform says they do not follow (43004); a later follow event sets it again."""
        await tx.run(update(Follower).where(Follower.id == follower_id).values(subscribed=False))

    async def add_held(self, tx: Tx, follower_id: int, delta: int) -> None:
        """Counts messages that wait for the next contact; the follower is locked."""
        await tx.run(
            update(Follower).where(Follower.id == follower_id).values(held=Follower.held + delta)
        )
