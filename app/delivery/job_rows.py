"""The statements over `job`. One text for both databases, but for the lock of a claim."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Integer,
    Select,
    SmallInteger,
    String,
    Text,
    bindparam,
    case,
    delete,
    exists,
    insert,
    literal_column,
    null,
    select,
    text,
    update,
)
from sqlalchemy.orm import aliased

from app.db.hot import Hot, InList, upsert
from app.delivery.models import Job

_WRITTEN = (
    "account_id",
    "queue",
    "task",
    "args",
    "lane",
    "dedup",
    "run_at",
    "state",
    "attempts",
    "max_attempts",
    "fence",
    "created_at",
)
_VALUES = {c: bindparam(c, type_=Job.__table__.c[c].type) for c in _WRITTEN}
_UNFINISHED = text("state IN ('ready', 'running')")
_CLAIMED = (
    Job.id,
    Job.task,
    Job.args,
    Job.fence,
    Job.attempts,
    Job.max_attempts,
    Job.queue,
    Job.account_id,
    Job.lane,
    Job.dedup,
    Job.run_at,
    Job.worker,
)


def _bind(name: str, kind: Any = BigInteger) -> Any:
    return bindparam(name, type_=kind() if isinstance(kind, type) else kind)


def _insert(dialect: str) -> Any:
    return (
        upsert(dialect, Job)
        .values(_VALUES)
        .on_conflict_do_nothing(
            index_elements=["dedup"], index_where=text("dedup IS NOT NULL AND state = 'ready'")
        )
    )


INSERT = Hot(_insert)
"""A job whose dedup waits already is left out."""


def _insert_running() -> Any:
    """`running` where nothing unfinished is in the lane, `ready` otherwise; decided by one statement
    under the follower's lock, without which nobody adds to the lane."""
    other = aliased(Job)
    free = ~exists(
        select(literal_column("1")).where(
            other.lane == _bind("lane_"), other.state.in_(_open_states())
        )
    )
    columns = {
        **_VALUES,
        "state": case((free, literal_column("'running'")), else_=literal_column("'ready'")),
        "attempts": case((free, literal_column("1")), else_=literal_column("0")),
        "fence": case((free, literal_column("1")), else_=literal_column("0")),
        "lease_until": case((free, _bind("lease_")), else_=null()),
        "worker": case((free, _bind("worker_", String)), else_=null()),
    }
    return insert(Job).values(columns).returning(Job.id, Job.state)


def _open_states() -> list[Any]:
    return [literal_column("'ready'"), literal_column("'running'")]


INSERT_RUNNING = Hot(_insert_running())

CANCEL = Hot(
    update(Job)
    .where(Job.dedup == _bind("key", String), Job.state == literal_column("'ready'"))
    .values(state=literal_column("'cancelled'"))
)
RESCHEDULE = Hot(
    update(Job)
    .where(Job.dedup == _bind("key", String), Job.state == literal_column("'ready'"))
    .values(run_at=_bind("moment"))
)


def _due() -> Select[Any]:
    """The next jobs of a queue, in the order of its index: `(queue, run_at, id)`."""
    other = aliased(Job)
    earlier = exists(
        select(literal_column("1")).where(
            other.lane == Job.lane, other.id < Job.id, other.state.in_(_open_states())
        )
    )
    return (
        select(Job.id)
        .where(
            Job.state == literal_column("'ready'"),
            Job.queue == _bind("queue_", String),
            Job.run_at <= _bind("now_"),
            Job.lane.is_(None) | ~earlier,
        )
        .order_by(Job.run_at, Job.id)
        .limit(_bind("limit_", Integer))
    )


def _claim(dialect: str) -> Any:
    due = _due()
    if dialect == "postgresql":
        due = due.with_for_update(skip_locked=True, of=Job)
    picked = due.cte(
        "picked"
    )  # a CTE: as a subquery it may be run more than once and claim too many
    return (
        update(Job)
        .where(Job.id.in_(select(picked.c.id)))
        .values(
            state=literal_column("'running'"),
            worker=_bind("worker_", String),
            lease_until=_bind("lease_"),
            fence=Job.fence + literal_column("1", Integer),
            attempts=Job.attempts + literal_column("1", Integer),
        )
        .returning(*_CLAIMED)
    )


CLAIM = Hot(_claim)

_HELD = (
    Job.id == _bind("id_"),
    Job.fence == _bind("fence_", Integer),
    Job.state == literal_column("'running'"),
)

SETTLE = Hot(
    update(Job)
    .where(*_HELD)
    .values(
        state=_bind("state_", String),
        error=_bind("error_", Text),
        lease_until=null(),
    )
)
"""`done`, `failed` or `ask`; nothing where the lease was taken over."""

FORGET = Hot(delete(Job).where(*_HELD))
"""Instead of `done`, for bulk work of which nobody looks at the successes."""


def _put_back() -> Any:
    """Back to `ready`, unless a newer job with the same dedup waits: then that one carries on."""
    newer = aliased(Job)
    waits = exists(
        select(literal_column("1")).where(
            newer.dedup == Job.dedup, newer.state == literal_column("'ready'")
        )
    )
    return (
        update(Job)
        .where(*_HELD)
        .values(
            state=case((waits, literal_column("'cancelled'")), else_=literal_column("'ready'")),
            run_at=_bind("run_at_"),
            attempts=Job.attempts - _bind("back_", SmallInteger),
            error=_bind("error_", Text),
            lease_until=null(),
            worker=null(),
        )
    )


PUT_BACK = Hot(_put_back())

HOLD = Hot(update(Job).where(*_HELD).values(lease_until=_bind("lease_")))
"""Renews a lease; touches nothing where it was lost."""

STILL_MINE = Hot(
    select(Job.id, Job.fence).where(InList(Job.id, "ids"), Job.state == literal_column("'running'"))
)


def _orphans(dialect: str, *, of_others: bool) -> Any:
    lost = Job.lease_until < _bind("now_")
    if of_others:
        lost = lost | (Job.worker != _bind("worker_", String))
    found = (
        select(*_CLAIMED)
        .where(Job.state == literal_column("'running'"), lost)
        .order_by(Job.lease_until, Job.id)
        .limit(literal_column("500"))
    )
    return found.with_for_update(skip_locked=True) if dialect == "postgresql" else found


EXPIRED = Hot(lambda dialect: _orphans(dialect, of_others=False))
ORPHANS = Hot(lambda dialect: _orphans(dialect, of_others=True))
"""Where only one process runs jobs: whatever another one holds died with it."""

OLDEST_DUE = Hot(
    select(Job.run_at)
    .where(
        Job.state == literal_column("'ready'"),
        Job.queue == _bind("queue_", String),
        Job.run_at <= _bind("now_"),
    )
    .order_by(Job.run_at)
    .limit(literal_column("1"))
)
