"""What a running task is given."""

from dataclasses import dataclass, field
from typing import Any

from app.core.clock import Clock, to_millis
from app.db.database import Database
from app.db.tx import Tx
from app.delivery import job_rows
from app.delivery.jobs import LEASE_SECONDS, Claimed


class LeaseLost(Exception):
    """Another process has taken the job over, since this one did not renew its lease in time."""


@dataclass(slots=True)
class TaskContext:
    """One try of one job. `services` is what `runtime` gave the runner."""

    database: Database
    clock: Clock
    job: Claimed
    services: Any
    lease_ms: int = int(LEASE_SECONDS * 1000)
    finished: bool = field(default=False, init=False)
    """The job ended by `finish_in`, and that transaction has committed."""

    async def hold(self, tx: Tx) -> None:
        """Proves within `tx` that the job is still ours and renews its lease; raises `LeaseLost`.

        On PostgreSQL the job's row stays locked until the commit, so nobody takes it over meanwhile.
        """
        lease = to_millis(self.clock.now()) + self.lease_ms
        held = {"id_": self.job.id, "fence_": self.job.fence, "lease_": lease}
        if not await tx.run(job_rows.HOLD, held):
            raise LeaseLost

    async def finish_in(self, tx: Tx) -> None:
        """Ends the job in the task's own last transaction, so that both happen or neither.

        Raises `LeaseLost`, which rolls that transaction back, when another process has taken over.
        """
        held = {"id_": self.job.id, "fence_": self.job.fence}
        if self.job.queue == "bulk":
            ended = await tx.run(job_rows.FORGET, held)
        else:
            ended = await tx.run(job_rows.SETTLE, {**held, "state_": "done", "error_": None})
        if not ended:
            raise LeaseLost
        tx.after_commit(self._mark_finished)

    def _mark_finished(self) -> None:
        self.finished = True
