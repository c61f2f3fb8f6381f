"""Tags of followers, read set-wise for snapshots."""

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import select

from app.core.ids import FollowerId
from app.db.hot import Hot, InList, Row
from app.db.tx import Query
from app.engines.followers.models import FollowerTag, Tag

_READ = Hot(
    select(FollowerTag.follower_id, Tag.name)
    .join(Tag, Tag.id == FollowerTag.tag_id)
    .where(InList(FollowerTag.follower_id, "followers"))
)


def tags_of(followers: Sequence[FollowerId]) -> Query[dict[FollowerId, frozenset[str]]]:
    """The names of each follower's tags; followers without any are left out."""
    return Query(_READ, {"followers": list(followers)}, _names)


def _names(rows: Sequence[Row]) -> dict[FollowerId, frozenset[str]]:
    names: dict[FollowerId, set[str]] = defaultdict(set)
    for follower, name in rows:
        names[FollowerId(follower)].add(name)
    return {follower: frozenset(found) for follower, found in names.items()}
