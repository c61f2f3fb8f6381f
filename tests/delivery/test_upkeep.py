"""What else is thrown away by policy, and what is not."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from app.conversation.forgetting import DIALOGUES, DIALOGUES_KEPT
from app.conversation.models import FlowStateRow
from app.core.ids import first_id
from app.db.audit import Audit, AuditRow
from app.db.purge import STEP
from app.delivery.models import Outbound, SendWindow
from app.delivery.schedule import Timetable
from app.delivery.upkeep import WINDOWS, WINDOWS_KEPT, Dropped, Expired, Line, OldOutbound, Upkeep
from tests.delivery.conftest import Post, read_all


def outbound(identifier: int, state: str, post: Post) -> dict[str, Any]:
    return {
        "id": identifier,
        "account_id": 1,
        "follower_id": 1,
        "conversation_id": 7,
        "seq": 1,
        "message_id": 1,
        "source_key": "w:m:1",
        "automatic": True,
        "payload": {},
        "state": state,
        "route": "customer",
        "lane": 1,
        "attempts": 0,
        "expires_at": post.clock.now(),
        "created_at": post.clock.now(),
    }


async def test_old_sends_go_when_they_are_final(post: Post) -> None:
    border = first_id(post.clock.real() - timedelta(days=30))
    final = ("sent", "failed", "blocked", "unknown")
    rows = [outbound(border - 1 - n, final[n % 4], post) for n in range(STEP + 100)]
    rows += [outbound(border - 10_000 - n, s, post) for n, s in enumerate(("queued", "held"))]
    rows += [outbound(border, "sent", post), outbound(border + 1, "queued", post)]
    await post.database.transaction(lambda tx: tx.many(insert(Outbound), rows))
    dropped = Dropped(post.database, Audit(post.ids, post.clock))
    chore = OldOutbound(post.database, post.clock, dropped, 30)
    planned = await chore.plan()
    assert [line.en for line in planned] == ["outbound: delete 600 rows older than 30 days"]
    assert await chore.run() == planned
    left = await read_all(post.database, Outbound, Outbound.id)
    assert {(row.id - border, row.state) for row in left} == {
        (-10_001, "held"),
        (-10_000, "queued"),
        (0, "sent"),
        (1, "queued"),
    }
    [record] = await read_all(post.database, AuditRow, AuditRow.id)
    assert record.after == {"rows": 600, "days": 30}
    assert await OldOutbound(post.database, post.clock, dropped, 0).run() == []


@pytest.mark.parametrize("count", [3, STEP - 1, STEP, 2 * STEP + 1])
async def test_windows_go_a_week_after_their_end(post: Post, count: int) -> None:
    """Walked by the key to its end, whatever the number of rows."""
    now = post.clock.now()

    def window(follower: int, bucket: str, ended: timedelta) -> dict[str, Any]:
        return {
            "follower_id": follower,
            "bucket": bucket,
            "account_id": 1,
            "source_key": "k",
            "granted_at": now,
            "expires_at": now - ended,
            "quota": 5,
            "used": 0,
            "used_by_bot": 0,
        }

    second = timedelta(seconds=1)
    rows = [
        window(
            number // 2, ("menu", "message")[number % 2], WINDOWS_KEPT + (number % 3 - 1) * second
        )
        for number in range(count)
    ]
    await post.database.transaction(lambda tx: tx.many(insert(SendWindow), rows))
    chore = Expired(WINDOWS, WINDOWS_KEPT, post.database, post.clock.now)
    planned = await chore.plan()
    assert await chore.run() == planned
    left = await read_all(post.database, SendWindow, SendWindow.follower_id)
    assert len(left) == len([row for row in rows if row["expires_at"] > now - WINDOWS_KEPT])
    assert all(row.expires_at > now - WINDOWS_KEPT for row in left)
    assert await chore.run() == []


async def test_dialogues_go_a_week_after_their_end(post: Post) -> None:
    now = post.clock.now()

    def dialogue(follower: int, ended: timedelta) -> dict[str, Any]:
        return {
            "follower_id": follower,
            "account_id": 1,
            "flow": "book",
            "step": 0,
            "answers": {},
            "expires_at": now - ended,
            "updated_at": now,
        }

    rows = [dialogue(1, DIALOGUES_KEPT), dialogue(2, DIALOGUES_KEPT - timedelta(seconds=1))]
    await post.database.transaction(lambda tx: tx.many(insert(FlowStateRow), rows))
    lines = await Expired(DIALOGUES, DIALOGUES_KEPT, post.database, post.clock.now).run()
    assert [line.en for line in lines] == ["flow_state: delete 1 rows over for 7 days"]
    left = await read_all(post.database, FlowStateRow, FlowStateRow.follower_id)
    assert [row.follower_id for row in left] == [2]


class Sweep:
    name = "sweep"
    minutes = 60

    def __init__(self) -> None:
        self.runs = 0

    async def plan(self) -> list[Line]:
        return []

    async def run(self) -> list[Line]:
        self.runs += 1
        return [Line("扫了", "swept")]


async def test_a_chore_is_due_every_hour(post: Post) -> None:
    work, chore = post.work, Sweep()
    timetable = Timetable(post.database, work.jobs, post.clock)
    Upkeep(work.tasks, timetable).add(chore)
    await timetable.tick()
    for _ in range(3):
        post.clock.advance(minutes=60)
        await timetable.tick()
        await work.runner.drain()
    assert chore.runs == 3
