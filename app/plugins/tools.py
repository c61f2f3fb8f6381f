"""What a plugin does with the server beside answering."""

from collections.abc import Mapping
from typing import Any

from app.conversation.apart import Context
from app.core.decisions import Decision, Snapshot
from app.core.replies import MenuReply
from app.db.tx import Tx
from app.delivery.jobs import RunAt
from app.delivery.work import TaskContext
from app.engines.followers.tagging import Tagging
from app.engines.replies.options import remember
from app.plugins.answers import check_tag
from app.plugins.plugin import task_name


def offer(snap: Snapshot, menu: MenuReply) -> Decision:
    """Asks with options to tap. Where they cannot be tapped, their numbers are understood for a
    while; either way the choice comes back as a text with the option's words and its id as `key`."""
    return Decision(steps=(menu,), flow=remember(menu, snap))


async def tag(ctx: Context, tx: Tx, name: str) -> bool:
    """Puts a tag on the follower, within `ctx.transaction`; whether it is new on them."""
    check_tag(name)
    tagging = Tagging(ctx.services.ids, ctx.clock)
    return (await tagging.add_many(tx, [(ctx.follower.id, name, ctx.key)]))[0]


async def untag(ctx: Context, tx: Tx, name: str) -> bool:
    """Takes a tag from the follower, within `ctx.transaction`; whether they had it."""
    check_tag(name)
    tagging = Tagging(ctx.services.ids, ctx.clock)
    return (await tagging.remove_many(tx, [(ctx.follower.id, name)]))[0]


async def enqueue(
    ctx: Context | TaskContext,
    tx: Tx,
    job: str,
    args: Mapping[str, Any] | None = None,
    *,
    run_at: RunAt = None,
    dedup: str | None = None,
) -> None:
    """Runs a job of a plugin later, named `<plugin>.<job>`; it exists exactly when `tx` commits.

    `run_at` is a moment, a time from now, or None for at once. With a `dedup` that another waiting
    job has, nothing is written. Raises `UnknownTask` for a job that no plugin has.
    """
    plugin, _, name = job.partition(".")
    await ctx.services.jobs.enqueue(
        tx, task_name(plugin, name), args or {}, run_at=run_at, dedup=dedup
    )
