"""CS-17 to CS-21, the states and retries of engine reference A6."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from app.core.incoming import Grant
from app.core.replies import PlatformDeskReply, to_dict
from app.db.tx import Tx
from app.delivery import rates, windows
from app.delivery.models import Outbound
from app.wechat.errors import WechatError
from app.wechat.failures import NotReached, OutcomeUnknown, TokenUnavailable
from tests.delivery.conftest import Post, read_all


async def test_messages_go_out_in_order_and_are_recorded(post: Post) -> None:
    await post.follower()
    await post.grant(Grant.MESSAGE)
    await post.put("one", "two")
    await post.put("three")
    assert await post.drain() == 1, "one drain job for all that waits"
    assert post.platform.got == [(f"openid-{1}", text) for text in ("one", "two", "three")]
    rows = await post.rows()
    assert [(r.state, r.route, r.attempts, r.bucket, r.error_code) for r in rows] == [
        ("sent", "customer", 1, "message", None)
    ] * 3
    assert {r.sent_at for r in rows} == {post.clock.now()}
    assert await post.used() == {"message": (3, 0)}
    assert [(kind, number) for kind, number, _ in await post.happened()] == [
        ("message.sent", 1001),
        ("message.sent", 1002),
        ("message.sent", 1003),
    ]


async def test_the_order_is_that_of_the_conversation_not_of_writing(post: Post) -> None:
    await post.follower()
    await post.grant(Grant.MESSAGE)
    late, early = post.message("late", seq=9), post.message("early", seq=8)
    first = post.message("older conversation", seq=50, conversation_id=3)
    await post.database.transaction(lambda tx: post.outbox.put(tx, [late, early, first]))
    await post.drain()
    assert post.platform.texts == ["older conversation", "early", "late"]


async def test_more_than_one_run_can_send_is_handed_on(post: Post) -> None:
    await post.follower()
    await post.grant(Grant.MESSAGE)
    for grant in (Grant.MENU, Grant.SCAN):
        await post.grant(grant)
    await post.put(*[f"m{n}" for n in range(8)])
    assert await post.drain() == 2
    assert post.platform.texts == [f"m{n}" for n in range(8)]
    assert await post.used() == {"menu": (3, 0), "scan": (3, 0), "message": (2, 0)}


class TestWindows:
    async def test_a_quota_is_never_passed(self, post: Post) -> None:
        """CS-17."""
        await post.follower()
        await post.grant(Grant.MESSAGE)
        await post.put(*[f"m{n}" for n in range(7)])
        await post.drain()
        assert len(post.platform.got) == 5
        rows = await post.rows()
        assert [r.state for r in rows] == ["sent"] * 5 + ["blocked"] * 2
        assert (rows[5].error_code, rows[5].attempts) == ("QUOTA_USED", 0)
        assert "条数已用完" in rows[5].error_text
        assert [e[0] for e in await post.happened()][-2:] == ["message.blocked"] * 2

    async def test_automatic_messages_leave_two_to_people(self, post: Post) -> None:
        """CS-18."""
        await post.follower()
        await post.grant(Grant.MESSAGE)
        await post.put(*[f"bot{n}" for n in range(5)], automatic=True)
        await post.put("person", "another person")
        await post.drain()
        assert post.platform.texts == ["bot0", "bot1", "bot2", "person", "another person"]
        assert [r.error_code for r in await post.rows()][3:5] == ["KEPT_FOR_PEOPLE"] * 2
        assert await post.used() == {"message": (5, 3)}

    async def test_nothing_is_sent_after_the_end(self, post: Post) -> None:
        await post.follower()
        await post.grant(Grant.MENU)
        await post.put("late")
        await post.drain(seconds=60)
        assert post.platform.got == []
        assert [r.error_code for r in await post.rows()] == ["WINDOW_OVER"]

    async def test_without_any_contact_nothing_is_sent(self, post: Post) -> None:
        await post.follower()
        await post.put("hello?")
        await post.drain()
        assert [(r.state, r.error_code) for r in await post.rows()] == [("blocked", "NO_WINDOW")]

    async def test_under_concurrency_charges_stay_within_the_quota(self, post: Post) -> None:
        await post.grant(Grant.MESSAGE)
        now = post.clock.now()

        async def one(automatic: bool) -> bool:
            return await post.database.transaction(
                lambda tx: windows.charge(tx, 1, "message", now, automatic)
            )

        taken = await asyncio.gather(*[one(n % 2 == 0) for n in range(20)])
        assert sum(taken) == 5
        used, by_bot = (await post.used())["message"]
        assert used == 5
        assert by_bot <= 3


class TestRefusals:
    async def refuse(self, post: Post, *failures: Exception | None) -> None:
        await post.follower()
        await post.grant(Grant.MESSAGE)
        post.platform.failures = list(failures)
        await post.put("one", "two")
        await post.drain()

    async def test_a_busy_platform_is_asked_again_after_1_4_15_60_seconds(self, post: Post) -> None:
        await self.refuse(post, *[WechatError(-1, "system busy")] * 5)
        assert post.platform.texts == ["one"]
        for seconds in (1, 4, 15, 60):
            before = len(post.platform.got)
            await post.drain(milliseconds=seconds * 1000 - 1)
            assert len(post.platform.got) == before
            assert (await post.states()) == ["queued", "queued"]
            await post.drain(milliseconds=1)
            assert len(post.platform.got) > before
        assert post.platform.texts == ["one"] * 5 + ["two"]
        one, two = await post.rows()
        assert (one.state, one.attempts, one.error_code) == ("failed", 5, "-1")
        assert (two.state, two.attempts, two.error_code) == ("sent", 1, None)
        assert await post.used() == {"message": (1, 0)}, "refused sends are given back"

    async def test_a_retry_that_succeeds_forgets_the_error(self, post: Post) -> None:
        await self.refuse(post, NotReached(reason="ConnectError"))
        await post.drain(seconds=1)
        one, two = await post.rows()
        assert (one.state, one.attempts, one.error_code, one.error_text) == ("sent", 2, None, None)
        assert two.state == "sent"
        assert post.platform.texts == ["one", "one", "two"]

    async def test_no_token_for_now_is_tried_again(self, post: Post) -> None:
        await self.refuse(post, TokenUnavailable(reason="x"))
        assert (await post.rows())[0].error_code == "WECHAT_TOKEN_UNAVAILABLE"
        await post.drain(seconds=1)
        assert await post.states() == ["sent", "sent"]

    async def test_a_closed_window_blocks_and_ends_all_windows(self, post: Post) -> None:
        await self.refuse(post, WechatError(45015, "response out of time limit rid: 1-2-3"))
        one, two = await post.rows()
        assert (one.state, one.error_code) == ("blocked", "45015")
        assert "1-2-3" in one.error_text
        assert (two.state, two.error_code) == ("blocked", "WINDOW_OVER")
        assert post.platform.texts == ["one"]

    async def test_an_allowance_the_platform_counts_otherwise(self, post: Post) -> None:
        await self.refuse(post, None, WechatError(45047, "out of response count limit"))
        one, two = await post.rows()
        assert (one.state, two.state, two.error_code) == ("sent", "blocked", "45047")
        assert await post.used() == {"message": (5, 0)}

    async def test_a_contact_in_the_meantime_keeps_its_own_windows(self, post: Post) -> None:
        """The refusal speaks of the grant that was charged, not of the one that came since."""
        await post.follower()
        await post.grant(Grant.MESSAGE, key="old")

        class Slow:
            async def send_custom(self, body: Mapping[str, Any]) -> None:
                post.clock.advance(seconds=2)
                await post.grant(Grant.MESSAGE, key="new")
                raise WechatError(codes.pop(), "")

        codes = [45015, 45047]
        post.sender._api_of = lambda _: Slow()
        await post.put("one", "two")
        await post.drain()
        assert await post.states() == ["blocked", "blocked"]
        assert await post.used() == {"message": (0, 0)}
        assert await post.database.transaction(
            lambda tx: windows.charge(tx, 1, "message", post.clock.now(), False)
        )

    async def test_who_does_not_follow_is_marked_and_not_written_to(self, post: Post) -> None:
        await self.refuse(post, WechatError(43004, "require subscribe"))
        one, two = await post.rows()
        assert (one.state, one.error_code) == ("failed", "43004")
        assert (two.state, two.error_code) == ("failed", "NOT_SUBSCRIBED")
        assert post.platform.texts == ["one"]

    async def test_a_final_refusal_keeps_code_and_words_and_the_next_goes_on(
        self, post: Post
    ) -> None:
        await self.refuse(post, WechatError(45166, "content refused rid: abc"))
        one, two = await post.rows()
        assert (one.state, one.error_code, two.state) == ("failed", "45166", "sent")
        assert "abc" in one.error_text
        kind, number, payload = (await post.happened())[0]
        assert (kind, number, payload["code"]) == ("message.failed", 1001, "45166")
        assert payload["text"] == one.error_text

    async def test_a_used_up_day_stops_the_whole_account(self, post: Post) -> None:
        await post.follower(2)
        await post.grant(Grant.MESSAGE, 2)
        await self.refuse(post, WechatError(45009, "reach max api daily quota limit"))
        await post.put("to another", follower=2)
        assert post.platform.texts == ["one"]
        await post.drain(seconds=599)
        assert post.platform.texts == ["one"]
        await post.drain(seconds=1)
        assert sorted(post.platform.texts) == ["one", "one", "to another", "two"]

    async def test_what_cannot_be_rendered_fails_without_a_call(self, post: Post) -> None:
        await post.follower()
        await post.grant(Grant.MESSAGE)
        await post.put("x", payload=to_dict(PlatformDeskReply()))
        await post.put("y", payload={"kind": "no such kind"})
        await post.drain()
        assert [(r.state, r.error_code) for r in await post.rows()] == [
            ("failed", "NOT_SENDABLE")
        ] * 2
        assert post.platform.got == []
        assert await post.used() == {"message": (0, 0)}


class TestUnknown:
    """CS-20: nothing is handed over twice without a person."""

    @pytest.mark.parametrize(
        "failure", [OutcomeUnknown(reason="ReadTimeout"), RuntimeError("anything else")]
    )
    async def test_no_answer_is_unknown_and_not_repeated(
        self, post: Post, failure: Exception
    ) -> None:
        await post.follower()
        await post.grant(Grant.MESSAGE)
        post.platform.failures = [failure]
        await post.put("one", "two")
        await post.drain()
        await post.drain(hours=1)
        assert post.platform.texts == ["one", "two"]
        assert await post.states() == ["unknown", "sent"]
        assert await post.used() == {"message": (2, 0)}, "the charge is not given back"
        assert (await post.happened())[0][0] == "message.unknown"

    async def test_a_message_found_in_mid_send_after_a_crash_is_unknown(self, post: Post) -> None:
        await post.follower()
        await post.grant(Grant.MESSAGE)
        await post.put("one", "two")

        async def as_a_crash_leaves_it(tx: Tx) -> None:
            await tx.run(update(Outbound).where(Outbound.seq == 1).values(state="sending"))

        await post.database.transaction(as_a_crash_leaves_it)
        await post.drain()
        assert post.platform.texts == ["two"]
        rows = await post.rows()
        assert [r.state for r in rows] == ["unknown", "sent"]
        assert "可能已送达" in rows[0].error_text

    async def test_one_that_lost_its_lease_sends_nothing_more(self, post: Post) -> None:
        """The process sleeps in mid-call past its lease; another takes over; then it wakes up."""
        await post.follower()
        await post.grant(Grant.MESSAGE)
        other = post.work.another("w2")
        calls: list[str] = []

        class Sleepy:
            async def send_custom(self, body: Mapping[str, Any]) -> None:
                calls.append(body["text"]["content"])
                if len(calls) == 1:
                    post.clock.advance(seconds=61)
                    assert await other.drain() == 1

        post.sender._api_of = lambda _: Sleepy()
        await post.put("one", "two")
        assert await post.drain() == 1
        assert calls == ["one", "two"]
        assert await post.states() == ["sent", "sent"], "the true end of the first was learnt late"
        kinds = [kind for kind, _, _ in await post.happened()]
        assert kinds == ["message.unknown", "message.sent", "message.sent"]
        (job,) = await post.work.rows()
        assert (job.state, job.fence) == ("done", 2)


class TestHeld:
    async def test_what_is_held_waits_for_a_window_and_then_goes_in_order(self, post: Post) -> None:
        await post.follower()
        await post.put("one", "two", held=True)
        assert await post.drain() == 0
        assert (await post.states(), await post.held()) == (["held", "held"], 2)
        await post.grant(Grant.MESSAGE)
        await post.release(1)
        await post.drain()
        assert post.platform.texts == ["one", "two"]
        assert (await post.states(), await post.held()) == (["sent", "sent"], 0)

    async def test_one_asked_to_be_held_waits_when_nothing_is_open(self, post: Post) -> None:
        await post.follower()
        await post.put("one", or_hold=True)
        await post.put("two")
        await post.drain()
        assert await post.states() == ["held", "queued"], "the later one keeps its place"
        assert await post.held() == 1
        await post.grant(Grant.SUBSCRIBE)
        await post.release(1)
        await post.drain()
        assert post.platform.texts == ["one", "two"]
        assert await post.held() == 0

    async def test_a_window_the_platform_sees_closed_holds_it_again(self, post: Post) -> None:
        await post.follower()
        await post.grant(Grant.MESSAGE)
        post.platform.failures = [WechatError(45015)]
        await post.put("one", or_hold=True)
        await post.drain()
        assert (await post.states(), await post.held()) == (["held"], 1)

    async def test_an_account_that_may_not_send_holds_or_blocks(self, post: Post) -> None:
        post.may_send = False
        await post.follower()
        await post.grant(Grant.MESSAGE)
        await post.put("blocked")
        await post.put("held", or_hold=True)
        await post.drain()
        rows = await post.rows()
        assert [r.state for r in rows] == ["blocked", "held"]
        assert {r.error_code for r in rows} == {"NOT_ALLOWED"}
        assert await post.used() == {"message": (0, 0)}

    async def test_it_can_be_carried_by_a_passive_answer_once(self, post: Post) -> None:
        await post.follower()
        await post.follower(2)
        await post.put("one", "two", "three", held=True)

        async def carry(tx: Tx, most: int) -> list[str]:
            waiting = await post.outbox.held(tx, [1, 2])
            assert set(waiting) <= {1}
            rows = waiting.get(1, [])[:most]
            await post.outbox.mark_passive(tx, 1, rows)
            return [row.payload["text"] for row in rows]

        stale = (await post.database.read(lambda tx: post.outbox.held(tx, [1])))[1]
        assert await post.database.transaction(lambda tx: carry(tx, 2)) == ["one", "two"]
        assert [(r.state, r.route, r.sent_at) for r in await post.rows()] == [
            ("sent", "passive", post.clock.now()),
            ("sent", "passive", post.clock.now()),
            ("held", "held", None),
        ]
        assert await post.held() == 1
        assert [(e[0], e[2]["route"]) for e in await post.happened()] == [
            ("message.sent", "passive")
        ] * 2
        with pytest.raises(RuntimeError, match="2 held messages were taken by somebody else"):
            await post.database.transaction(lambda tx: post.outbox.mark_passive(tx, 1, stale))
        assert await post.database.transaction(lambda tx: carry(tx, 9)) == ["three"]
        assert await post.database.transaction(lambda tx: carry(tx, 9)) == []

    async def test_after_a_day_it_is_blocked_and_the_next_goes_on(self, post: Post) -> None:
        await post.follower()
        await post.put("old", held=True)
        await post.put("new", expires_at=post.clock.now() + timedelta(days=3))
        await post.drain()
        assert await post.states() == ["held", "queued"]
        await post.drain(hours=24)
        await post.grant(Grant.MESSAGE)
        await post.release(1)
        assert await post.drain() == 0, "what has expired is not released"
        assert await post.database.read(post.outbox.overdue) == [1]
        expire = await post.database.transaction(lambda tx: post.outbox.expire_held(tx, 1))
        assert expire == 1
        assert await post.database.transaction(lambda tx: post.outbox.expire_held(tx, 1)) == 0
        await post.drain()
        rows = await post.rows()
        assert [(r.state, r.error_code) for r in rows] == [
            ("blocked", "HELD_TOO_LONG"),
            ("sent", None),
        ]
        assert await post.held() == 0


async def test_an_outcome_that_cannot_be_written_at_all_shows_as_unknown(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process met a fault after the hand-over: nobody may send it again."""
    await post.follower()
    await post.grant(Grant.MESSAGE)
    await post.put("one")

    async def broken(tx: Tx, entry: Any) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(post.sender, "_sent", broken)
    await post.drain()
    assert await post.states() == ["sending"]
    await post.drain(hours=1)
    assert (await post.states(), post.platform.texts) == (["unknown"], ["one"])


async def test_what_a_person_has_moved_meanwhile_is_left_alone(post: Post) -> None:
    await post.follower()
    await post.grant(Grant.MESSAGE)

    class Moved:
        async def send_custom(self, body: Mapping[str, Any]) -> None:
            async def by_hand(tx: Tx) -> None:
                await tx.run(update(Outbound).values(state="failed", error_code="BY_HAND"))

            await post.database.transaction(by_hand)
            if body["text"]["content"] == "two":
                raise WechatError(45166)

    post.sender._api_of = lambda _: Moved()
    for text in ("one", "two"):
        await post.put(text)
        await post.drain()
    assert {(r.state, r.error_code) for r in await post.rows()} == {("failed", "BY_HAND")}
    assert await post.happened() == []


async def test_what_waits_too_long_is_not_sent(post: Post) -> None:
    await post.follower()
    await post.put("old", expires_at=post.clock.now() + timedelta(seconds=10))
    post.clock.advance(seconds=10)
    await post.grant(Grant.MESSAGE)
    await post.drain()
    assert [(r.state, r.error_code) for r in await post.rows()] == [("blocked", "EXPIRED")]


async def test_a_follower_that_is_not_there(post: Post) -> None:
    await post.put("who?")
    await post.drain()
    assert [(r.state, r.error_code) for r in await post.rows()] == [("failed", "NO_FOLLOWER")]


async def test_a_great_heap_of_unsendable_messages_takes_several_steps(post: Post) -> None:
    await post.follower()
    await post.put(*[str(n) for n in range(120)])
    assert await post.drain() == 2
    assert set(await post.states()) == {"blocked"}


async def test_the_outcome_is_written_when_the_database_comes_back(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.delivery.sender.RECORD_PAUSES", (0.0, 0.0))
    await post.follower()
    await post.grant(Grant.MESSAGE)
    await post.put("one")
    transaction, fails = post.database.transaction, [OSError("away"), OSError("away")]

    async def away(work: Any, *, urgent: bool = False) -> Any:
        if post.platform.got and fails:
            raise fails.pop()
        return await transaction(work, urgent=urgent)

    monkeypatch.setattr(post.database, "transaction", away)
    await post.drain()
    assert (await post.states(), fails) == (["sent"], [])


async def test_a_rate_row_written_by_people_goes_on_after_a_stop(post: Post) -> None:
    now = 1_000_000

    async def work(tx: Tx) -> list[Any]:
        await rates.limit(tx, "cs:1", per_s=2, burst=3, now=now)
        got: list[Any] = [await rates.take(tx, "cs:1", now) for _ in range(4)]
        await rates.stop(tx, "cs:1", now + 5000)
        got.append(await rates.take(tx, "cs:1", now + 1000))
        got.append(await rates.stopped_until(tx, "cs:1", now + 1000))
        got.append(await rates.take(tx, "cs:1", now + 6000, 9))
        got.append(await rates.stopped_until(tx, "cs:1", now + 6000))
        await rates.stop(tx, "other", now)
        got.append(await rates.take(tx, "other", now, 4))
        got.append(await rates.take(tx, "unknown", now, 4))
        return got

    assert await post.database.transaction(work) == [
        (1, 0),
        (1, 0),
        (1, 0),
        (0, 500),
        (0, 4000),
        now + 5000,
        (2, 500),
        None,
        (4, 0),
        (4, 0),
    ]


async def test_nothing_to_put_is_nothing(post: Post) -> None:
    await post.put()
    assert await read_all(post.database, Outbound, Outbound.id) == []
