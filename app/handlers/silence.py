"""Followers whom the shop does not want answered by the program: what they write is stored."""

from app.conversation.router import Router
from app.core.decisions import KEEP, Decision, Snapshot
from app.core.incoming import Kind
from app.engines.replies.source import Source

_ENDS = (Kind.FOLLOW, Kind.UNFOLLOW)
"""What ends a dialogue, answered or not."""


def router(book: Source) -> Router:
    routes = Router("silence")

    @routes.decide()
    def tagged(snap: Snapshot) -> Decision | None:
        """Nothing said and no miss, for a follower with one of the tags of `silent_for`."""
        silent_for = book.current(snap.account.id).silent_for
        if not silent_for or silent_for.isdisjoint(snap.follower.tags):
            return None
        tag = min(silent_for & snap.follower.tags)
        flow = None if snap.incoming.kind in _ENDS else KEEP
        return Decision(flow=flow, why={"silent": "tag", "tag": tag})

    return routes
