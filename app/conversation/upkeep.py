"""Dialogues that are over, and flows that nobody is in any more, are thrown away."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Integer, bindparam, delete, select
from sqlalchemy import tuple_ as row_of

from app.conversation.models import FlowStateRow
from app.core.clock import Clock
from app.db.base import Utc
from app.db.database import Database
from app.db.hot import Hot
from app.db.tx import Tx
from app.delivery import metrics
from app.delivery.schedule import Timetable
from app.delivery.tasks import Task, Tasks
from app.delivery.work import TaskContext
from app.engines.replies.models import FlowVersion
from app.engines.replies.queries import FLOWS_KEPT

STEP = 500
OVER_KEPT = timedelta(days=1)
"""A dialogue that has expired is remembered this long; the fallback speaks of it for an hour."""

_STEP = bindparam("step", type_=Integer())
_MOMENT = bindparam("moment", type_=Utc())
_OVER = Hot(
    delete(FlowStateRow).where(
        FlowStateRow.follower_id.in_(
            select(FlowStateRow.follower_id).where(FlowStateRow.expires_at <= _MOMENT).limit(_STEP)
        ),
        FlowStateRow.expires_at <= _MOMENT,  # it may have begun anew meanwhile
    )
)
_KEY = (FlowVersion.flow_id, FlowVersion.version)
_SUPERSEDED = Hot(
    delete(FlowVersion).where(
        row_of(*_KEY).in_(select(*_KEY).where(FlowVersion.superseded_at <= _MOMENT).limit(_STEP)),
        FlowVersion.superseded_at <= _MOMENT,
    )
)


class FlowUpkeep:
    """Registers the periodic task `conversation.purge_flows`."""

    def __init__(
        self, database: Database, tasks: Tasks, timetable: Timetable, clock: Clock
    ) -> None:
        self._database = database
        self._clock = clock
        name = "conversation.purge_flows"
        task = tasks.add(Task(name, "bulk", self.purge, timeout_seconds=600))
        timetable.every(name, task, minutes=60)

    async def purge(self, ctx: TaskContext) -> None:
        """Deletes dialogues a day after their end, and superseded flows after seven."""
        now = self._clock.now()
        await self._in_steps(_OVER, "flow_state", now - OVER_KEPT)
        await self._in_steps(_SUPERSEDED, "rp_flow_version", now - FLOWS_KEPT)

    async def _in_steps(self, statement: Hot, table: str, moment: datetime) -> None:
        params: dict[str, Any] = {"moment": moment, "step": STEP}

        async def step(tx: Tx) -> int:
            return await tx.run(statement, params)

        while True:
            gone = await self._database.transaction(step)
            metrics.PURGED.labels(table).inc(gone)
            if gone < STEP:
                return
