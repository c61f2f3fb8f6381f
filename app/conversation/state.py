"""Where followers stand in dialogues: the table `flow_state`."""

from collections.abc import Sequence
from datetime import datetime
from types import MappingProxyType
from typing import TypeAlias

from sqlalchemy import Boolean, Integer, SmallInteger, bindparam, delete, select

from app.conversation.models import FlowStateRow
from app.core.decisions import FlowState
from app.core.ids import FollowerId
from app.db.base import Json, Utc
from app.db.hot import Hot, InList, Row, upsert
from app.db.tx import Query, Tx

FlowChange: TypeAlias = tuple[int, FollowerId, FlowState | None]
"""Account, follower, and the next state; None ends the dialogue."""

_READ = Hot(
    select(
        FlowStateRow.follower_id,
        FlowStateRow.flow,
        FlowStateRow.step,
        FlowStateRow.answers,
        FlowStateRow.expires_at,
        FlowStateRow.version,
        FlowStateRow.path,
        FlowStateRow.paused,
        FlowStateRow.misses,
    ).where(InList(FlowStateRow.follower_id, "followers"))
)
_COLUMNS = (
    "flow",
    "step",
    "answers",
    "expires_at",
    "version",
    "path",
    "paused",
    "misses",
    "updated_at",
)


def _write(dialect: str) -> object:
    statement = upsert(dialect, FlowStateRow).values(
        follower_id=bindparam("follower_id"),
        account_id=bindparam("account_id"),
        flow=bindparam("flow"),
        step=bindparam("step", type_=Integer()),
        answers=bindparam("answers", type_=Json()),
        expires_at=bindparam("expires_at", type_=Utc()),
        version=bindparam("version", type_=Integer()),
        path=bindparam("path", type_=Json()),
        paused=bindparam("paused", type_=Boolean()),
        misses=bindparam("misses", type_=SmallInteger()),
        updated_at=bindparam("updated_at", type_=Utc()),
    )
    return statement.on_conflict_do_update(
        index_elements=[FlowStateRow.follower_id],
        set_={name: statement.excluded[name] for name in _COLUMNS},
    )


_WRITE = Hot(_write)
_END = Hot(delete(FlowStateRow).where(InList(FlowStateRow.follower_id, "followers")))


def flows_of(followers: Sequence[FollowerId]) -> Query[dict[FollowerId, FlowState]]:
    """The dialogue of each follower who is in one, also where it has expired."""
    return Query(_READ, {"followers": list(followers)}, _states)


def _states(rows: Sequence[Row]) -> dict[FollowerId, FlowState]:
    return {
        FollowerId(follower): FlowState(
            flow,
            step,
            MappingProxyType(answers),
            expires_at,
            version,
            tuple(path or ()),
            bool(paused),
            misses,
        )
        for follower, flow, step, answers, expires_at, version, path, paused, misses in rows
    }


async def write_flows(tx: Tx, changes: Sequence[FlowChange], at: datetime) -> None:
    """Sets or ends dialogues."""
    ended = [follower for _, follower, state in changes if state is None]
    if ended:
        await tx.run(_END, {"followers": ended})
    await tx.put(
        _WRITE,
        [
            {
                "follower_id": follower,
                "account_id": account,
                "flow": state.flow,
                "step": state.step,
                "answers": dict(state.answers),
                "expires_at": state.expires_at,
                "version": state.version,
                "path": list(state.path),
                "paused": state.paused,
                "misses": state.misses,
                "updated_at": at,
            }
            for account, follower, state in changes
            if state is not None
        ],
    )
