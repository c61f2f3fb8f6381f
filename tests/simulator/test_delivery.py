"""Deadline, repeats, modes and faults of deliveries, over real HTTP."""

import time
from typing import Any

import pytest
from starlette.responses import Response
from wechatpy.crypto import WeChatCrypto
from wechatpy.utils import check_signature

from app.simulator.model import FAULT_LINE
from tests.simulator.bot import Bot, Mailbox, Seen, free_port, text_reply
from tests.simulator.conftest import HASTY, Sim


def outcomes(delivery: dict[str, Any]) -> list[str]:
    return [attempt["outcome"] for attempt in delivery["attempts"] if not attempt["copied"]]


class TestPlain:
    async def test_answer_reaches_the_screen(self, sim: Sim, mailbox: Mailbox) -> None:
        account = await sim.account(mailbox)
        phone = await sim.phone(account)
        delivery = await phone.do("text", text="早 <&]]> 😀")
        assert delivery["state"] == "shown"
        assert outcomes(delivery) == ["shown"]
        (seen,) = mailbox.seen
        check_signature(
            account["token"],
            seen.query["signature"],
            seen.query["timestamp"],
            seen.query["nonce"],
        )
        assert seen.query["openid"] == phone.openid
        assert seen.body == delivery["raw_in"]["plain"]
        assert [(item["from"], item["text"]) for item in await phone.items()] == [
            ("me", "早 <&]]> 😀"),
            ("account", "你好"),
        ]
        assert delivery["key"] == f"w:m:{seen.get('MsgId')}"
        assert int(seen.get("MsgId")) > 1 << 53

    async def test_success_shows_nothing(self, sim: Sim, mailbox: Mailbox) -> None:
        mailbox.answer = lambda _: b"success"
        phone = await sim.phone(await sim.account(mailbox))
        delivery = await phone.do("text", text="早")
        assert (delivery["state"], delivery["shown"]) == ("nothing", [])
        assert len(await phone.items()) == 1

    async def test_without_a_url_nothing_is_pushed(self, sim: Sim) -> None:
        phone = await sim.phone(await sim.account())
        delivery = await phone.do("text", text="早")
        assert (delivery["state"], delivery["attempts"]) == ("unsent", [])


class TestTrouble:
    @pytest.mark.parametrize("status", [403, 500])
    async def test_http_errors_show_the_grey_line_at_once(
        self, sim: Sim, mailbox: Mailbox, status: int
    ) -> None:
        mailbox.answer = lambda _: Response("x", status)
        phone = await sim.phone(await sim.account(mailbox))
        delivery = await phone.do("text", text="早")
        assert outcomes(delivery) == ["fault"]
        last = (await phone.items())[-1]
        assert (last["from"], last["kind"], last["text"]) == ("system", "fault", FAULT_LINE)

    async def test_errors_are_repeated_for_an_account_set_so(
        self, sim: Sim, mailbox: Mailbox
    ) -> None:
        mailbox.answer = lambda seen: text_reply(seen) if seen.number == 2 else Response("", 500)
        phone = await sim.phone(await sim.account(mailbox, retry_errors=True))
        assert outcomes(await phone.do("text", text="早")) == ["fault", "shown"]

    @pytest.mark.parametrize("timing", [HASTY])
    async def test_silence_is_asked_three_times(self, sim: Sim, mailbox: Mailbox) -> None:
        def answer(seen: Seen) -> str:
            mailbox.hold()
            return text_reply(seen)

        mailbox.answer = answer
        phone = await sim.phone(await sim.account(mailbox))
        start = time.perf_counter()
        delivery = await phone.do("text", text="早")
        assert outcomes(delivery) == ["timeout"] * 3
        assert delivery["state"] == "failed"
        assert delivery["shown"][0]["text"] == FAULT_LINE
        assert time.perf_counter() - start >= 2 * HASTY.spacing + HASTY.deadline
        assert len({seen.get("MsgId") for seen in mailbox.seen}) == 1
        assert len({seen.get("CreateTime") for seen in mailbox.seen}) == 1
        assert len({seen.query["nonce"] for seen in mailbox.seen}) == 3
        for attempt in delivery["attempts"]:
            assert attempt["ms"] >= HASTY.deadline * 1000

    @pytest.mark.parametrize("timing", [HASTY])
    async def test_an_answer_to_the_second_attempt_is_shown(
        self, sim: Sim, mailbox: Mailbox
    ) -> None:
        def answer(seen: Seen) -> str:
            if seen.number == 1:
                mailbox.hold()
            return text_reply(seen, f"第{seen.number}次")

        mailbox.answer = answer
        phone = await sim.phone(await sim.account(mailbox))
        delivery = await phone.do("text", text="早")
        assert outcomes(delivery) == ["timeout", "shown"]
        assert (await phone.items())[-1]["text"] == "第2次"

    async def test_four_attempts_when_asked_for(self, sim: Sim) -> None:
        url = f"http://127.0.0.1:{free_port()}/gone"
        account = await sim.account(url=url, verify=False, attempts=4)
        phone = await sim.phone(account)
        assert outcomes(await phone.do("text", text="早")) == ["refused"] * 4

    async def test_deliveries_overlap(self, sim: Sim, mailbox: Mailbox) -> None:
        """A slow first answer does not hold the second message back."""

        def answer(seen: Seen) -> str:
            if seen.get("Content") == "慢":
                mailbox.hold()
            return text_reply(seen, seen.get("Content"))

        mailbox.answer = answer
        phone = await sim.phone(await sim.account(mailbox))
        slow = await sim.api("POST", f"{phone.path}/actions", {"do": "text", "text": "慢"})
        await phone.do("text", text="快")
        mailbox.release.set()
        await phone.delivery(slow["delivery"])
        texts = [item["text"] for item in await phone.items() if item["from"] == "account"]
        assert texts == ["快", "慢"]

    async def test_answers_to_view_and_unsubscribe_are_ignored(
        self, sim: Sim, mailbox: Mailbox
    ) -> None:
        phone = await sim.phone(await sim.account(mailbox))
        view = await phone.do("menu", type="view", key="https://example.com/")
        gone = await phone.do("unfollow")
        assert [view["state"], gone["state"]] == ["ignored", "ignored"]
        assert [item["kind"] for item in await phone.items()] == ["page"]

    async def test_a_redirect_is_not_followed(self, sim: Sim, mailbox: Mailbox) -> None:
        mailbox.answer = lambda _: Response("", 307, {"Location": mailbox.url})
        phone = await sim.phone(await sim.account(mailbox))
        assert outcomes(await phone.do("text", text="早")) == ["fault"]
        assert len(mailbox.seen) == 1


class TestEncryption:
    async def test_safe_mode_with_wechatpy_on_the_other_side(
        self, sim: Sim, mailbox: Mailbox
    ) -> None:
        account = await sim.account(mode="safe")
        crypto = WeChatCrypto(account["token"], account["aes_key"], account["appid"])

        def answer(seen: Seen) -> str:
            query = seen.query
            assert query["encrypt_type"] == "aes"
            plain = crypto.decrypt_message(
                seen.body, query["msg_signature"], query["timestamp"], query["nonce"]
            )
            reply = text_reply(Seen(query, plain, 1))
            sealed: str = crypto.encrypt_message(reply, query["nonce"], query["timestamp"])
            return sealed.strip()

        mailbox.answer = answer
        await sim.api("PATCH", f"accounts/{account['appid']}", {"url": mailbox.url})
        phone = await sim.phone(account)
        delivery = await phone.do("text", text="早")
        assert delivery["state"] == "shown", delivery["reason"]
        assert "Content" not in mailbox.seen[0].body
        assert "Content" in delivery["raw_in"]["plain"]
        assert delivery["raw_out"]["received"] != delivery["raw_out"]["plain"]

    async def test_compatible_mode_sends_both(self, sim: Sim, mailbox: Mailbox) -> None:
        phone = await sim.phone(await sim.account(mailbox, mode="compat"))
        assert (await phone.do("text", text="早"))["state"] == "shown"
        (seen,) = mailbox.seen
        assert seen.get("Content") == "早"
        assert seen.get("Encrypt")

    async def test_a_new_key_keeps_the_old_one_as_previous(self, sim: Sim) -> None:
        account = await sim.account(mode="safe")
        changed = await sim.api("PATCH", f"accounts/{account['appid']}", {"aes_key": "b" * 43})
        assert changed["previous_aes_key"] == account["aes_key"]


class TestVerification:
    async def test_quoted_echo_is_refused(self, sim: Sim, mailbox: Mailbox) -> None:
        mailbox.echo = lambda echostr: f'"{echostr}"'
        answer = await sim.raw("POST", "accounts", {"url": mailbox.url})
        assert answer.status_code == 422
        assert answer.json()["error"]["code"] == "URL_NOT_VERIFIED"
        assert "must be exactly" in answer.json()["error"]["message"]
        assert (await sim.api("GET", "accounts"))["accounts"] == []

    async def test_nobody_there(self, sim: Sim) -> None:
        url = f"http://127.0.0.1:{free_port()}/"
        answer = await sim.raw("POST", "accounts", {"url": url})
        assert "no connection" in answer.json()["error"]["message"]

    async def test_a_bad_change_leaves_the_account_as_it_was(
        self, sim: Sim, mailbox: Mailbox
    ) -> None:
        account = await sim.account(mailbox)
        mailbox.echo = lambda _: Response("", 404)
        answer = await sim.raw(
            "PATCH", f"accounts/{account['appid']}", {"url": mailbox.url + "?a=1"}
        )
        assert answer.status_code == 422
        assert await sim.api("GET", f"accounts/{account['appid']}") == account

    async def test_a_url_with_a_query_keeps_it(self, sim: Sim, mailbox: Mailbox) -> None:
        account = await sim.account(url=mailbox.url + "?shop=7")
        await (await sim.phone(account)).do("text", text="早")
        assert mailbox.seen[0].query["shop"] == "7"


class TestFaults:
    async def faults(self, sim: Sim, *faults: dict[str, Any]) -> None:
        await sim.api("PUT", "faults", {"faults": list(faults)})

    @pytest.mark.parametrize("timing", [HASTY])
    async def test_dropped_answer_is_asked_for_again(self, sim: Sim, mailbox: Mailbox) -> None:
        phone = await sim.phone(await sim.account(mailbox))
        await self.faults(sim, {"kind": "drop_answer", "count": 1})
        delivery = await phone.do("text", text="早")
        assert outcomes(delivery) == ["dropped", "shown"]
        assert delivery["same_answer"] is True
        assert (await sim.api("GET", "faults"))["faults"] == []

    @pytest.mark.parametrize("timing", [HASTY])
    async def test_slow_network_counts_against_the_deadline(
        self, sim: Sim, mailbox: Mailbox
    ) -> None:
        phone = await sim.phone(await sim.account(mailbox))
        slow = int(HASTY.deadline * 1000) + 100
        await self.faults(sim, {"kind": "slow", "ms": slow, "count": 1})
        assert outcomes(await phone.do("text", text="早")) == ["timeout", "shown"]
        assert len(mailbox.seen) == 1

    async def test_repeats_to_another_process_are_compared(
        self, sim: Sim, bot: Bot, mailbox: Mailbox
    ) -> None:
        other = bot.mailbox()
        other.answer = lambda seen: text_reply(seen, "别的答案")
        phone = await sim.phone(await sim.account(mailbox))
        await self.faults(
            sim, {"kind": "repeat", "times": 3, "urls": [mailbox.url, other.url], "count": 1}
        )
        delivery = await phone.do("text", text="早")
        assert (len(mailbox.seen), len(other.seen)) == (3, 1)
        assert delivery["same_answer"] is False
        assert [item["text"] for item in await phone.items()] == ["早", "你好"]
        assert (await phone.do("text", text="再见"))["same_answer"] is None

    @pytest.mark.parametrize(
        ("kind", "outcome"), [("unreachable", ["refused", "shown"]), ("stale", ["shown"])]
    )
    async def test_other_ways(
        self, sim: Sim, mailbox: Mailbox, kind: str, outcome: list[str]
    ) -> None:
        phone = await sim.phone(await sim.account(mailbox))
        await self.faults(sim, {"kind": kind, "count": 1})
        assert outcomes(await phone.do("text", text="早")) == outcome
        age = sim.clock.now().timestamp() - int(mailbox.seen[0].query["timestamp"])
        assert (age >= 3600) == (kind == "stale")

    async def test_forged_signature(self, sim: Sim, mailbox: Mailbox) -> None:
        account = await sim.account(mailbox)
        await self.faults(sim, {"kind": "forged"})
        await (await sim.phone(account)).do("text", text="早")
        query = mailbox.seen[0].query
        with pytest.raises(Exception, match="Invalid signature"):
            check_signature(
                account["token"], query["signature"], query["timestamp"], query["nonce"]
            )

    async def test_a_fault_of_another_account_does_not_count(
        self, sim: Sim, mailbox: Mailbox
    ) -> None:
        phone = await sim.phone(await sim.account(mailbox))
        await self.faults(sim, {"kind": "unreachable", "appid": "wx0000"})
        assert outcomes(await phone.do("text", text="早")) == ["shown"]


class TestRepeat:
    async def test_same_content_again(self, sim: Sim, mailbox: Mailbox) -> None:
        phone = await sim.phone(await sim.account(mailbox))
        delivery = await phone.do("text", text="早")
        again = await sim.api("POST", f"deliveries/{delivery['id']}/repeat")
        assert again["same_answer"] is True
        assert mailbox.seen[0].body == mailbox.seen[1].body
        assert mailbox.seen[0].query != mailbox.seen[1].query
        assert len(await phone.items()) == 2

    async def test_to_another_process(self, sim: Sim, bot: Bot, mailbox: Mailbox) -> None:
        other = bot.mailbox()
        phone = await sim.phone(await sim.account(mailbox))
        delivery = await phone.do("text", text="早")
        await sim.api("POST", f"deliveries/{delivery['id']}/repeat", {"url": other.url})
        assert (len(mailbox.seen), len(other.seen)) == (1, 1)


async def test_unknown_things_are_404(sim: Sim) -> None:
    for path in ("accounts/wx0", "accounts/wx0/followers", "deliveries/1", "deliveries/1/trace"):
        answer = await sim.raw("GET", path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_errors_speak_the_callers_language(sim: Sim) -> None:
    account = await sim.account()
    phone = await sim.phone(account, following=False)
    path = f"/simulator/api/{phone.path}/actions"
    for language, words in (("en", "Follow the account first"), ("zh-CN", "请先关注公众号")):
        answer = await sim.http.post(
            path, json={"do": "text", "text": "x"}, headers={"Accept-Language": language}
        )
        assert answer.status_code == 409
        assert answer.json()["error"]["message"] == words
