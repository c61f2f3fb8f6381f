"""A follower's whole story in the demo: real processes, real HTTP, through the simulator's API."""

from pathlib import Path

import pytest

from app.cli.demo import shop
from app.simulator.model import FAULT_LINE
from tests.journeys.demo import Demo, Phone, text_of, until

WELCOME = "欢迎来到山谷咖啡 ☕ 我们不赶时间。"


class TestComingAndGoing:
    def test_who_follows_is_welcomed_and_offered_a_menu(self, demo: Demo) -> None:
        phone = demo.phone()
        followed = phone.one("follow")

        assert text_of(followed["shown"]) == WELCOME
        offered = phone.sent()
        assert offered["kind"] == "menu"
        assert [option["text"] for option in offered["options"]] == [w for _, w in shop.HELP]
        trace = phone.trace(followed)
        assert (trace["why"]["on"], trace["answered"]) == ("follow", "passive")

    def test_who_leaves_hears_nothing_and_is_welcomed_again_on_return(
        self, demo: Demo, phone: Phone
    ) -> None:
        left = phone.one("unfollow")
        assert (left["state"], left["shown"]) == ("ignored", [])

        demo.api(
            "POST", "time", {"advance_seconds": 2}
        )  # the platform tells seconds apart, no less
        assert text_of(phone.one("follow")["shown"]) == WELCOME
        history = demo.rows(
            "SELECT change FROM follow_history JOIN follower ON follower.id = follower_id"
            " WHERE openid = ? ORDER BY follow_history.id",
            phone.openid,
        )
        assert [change for (change,) in history] == ["follow", "unfollow", "return"]

    def test_a_tapped_option_is_answered(self, demo: Demo) -> None:
        phone = demo.phone()
        phone.one("follow")
        option = phone.sent()["options"][0]

        answer = phone.one("option", id=option["id"], text=option["text"])

        assert text_of(answer["shown"]) == shop.HOURS


class TestWords:
    @pytest.mark.parametrize(
        ("words", "rule", "kind"),
        [
            ("你好", "打招呼", "exact"),
            ("ＨＩ", "打招呼", "exact"),
            ("你们几点打烊？", "营业时间", "contains"),
            ("这家店在哪儿", "地址", "contains"),
            ("最近有没有优惠呀", "优惠", "wildcard"),
            ("订单：A20260115", "查订单", "pattern"),
            ("When are you open?", "English hours", "pattern"),
            ("你们推荐的太慢了", "不满意", "contains"),  # two match; the higher priority answers
        ],
    )
    def test_the_rule_answers_and_is_named(
        self, phone: Phone, words: str, rule: str, kind: str
    ) -> None:
        delivery = phone.one("text", text=words)

        trace = phone.trace(delivery)
        assert (trace["why"]["name"], trace["why"]["kind"]) == (rule, kind)
        assert text_of(delivery["shown"]) == trace["said"][0]["text"]
        assert phone.stored(delivery) == 1

    def test_each_of_several_answers_comes_up(self, phone: Phone) -> None:
        said = {phone.say("谢谢") for _ in range(25)}
        assert len(said) == 3

    def test_an_article_comes_as_a_card(self, phone: Phone) -> None:
        (card,) = phone.one("text", text="豆子怎么卖")["shown"]
        assert card["kind"] == "news"
        assert card["articles"][0]["title"] == "本周豆单：云南孟连"

    def test_a_picture_is_answered_and_words_follow(self, phone: Phone, demo: Demo) -> None:
        (picture,) = phone.one("text", text="wifi")["shown"]
        assert (picture["kind"], "missing" in picture) == ("image", False)
        shown = demo.http.get(f"{demo.url}/simulator/media/{picture['media_id']}")
        assert shown.headers["content-type"] == "image/png"
        assert "slowdown2026" in phone.sent()["text"]

    def test_words_and_then_a_menu(self, phone: Phone) -> None:
        assert phone.say("有什么好喝的") == "我来帮您挑一杯，先选个方向："
        option = phone.sent()["options"][2]
        answer = phone.one("option", id=option["id"], text=option["text"])
        assert "柚子热茶" in text_of(answer["shown"])

    def test_a_number_stands_for_an_option_of_a_passive_menu(self, phone: Phone) -> None:
        assert "1. 几点开门" in phone.say("帮助")
        assert phone.say("1") == shop.HOURS

    def test_tags_are_put_on_and_taken_off(self, phone: Phone) -> None:
        phone.say("入会")
        assert phone.tags() == {"会员"}
        phone.say("退会")
        assert phone.tags() == set()

    def test_who_is_not_understood_twice_is_given_a_person(self, phone: Phone) -> None:
        assert shop.CONTACT not in phone.say("嗯哼嗯哼")
        assert shop.CONTACT in phone.say("嗯哼嗯哼嗯哼")


class TestMenu:
    @pytest.mark.parametrize(
        ("key", "words"), [("drink.today", "今日推荐"), ("me.card", "入会"), ("store.book", "几位")]
    )
    def test_a_click_is_answered(self, phone: Phone, key: str, words: str) -> None:
        delivery = phone.one("menu", key=key)
        assert words in text_of(delivery["shown"])
        assert phone.trace(delivery)["why"]["key"] == key

    def test_the_bean_list_is_a_card(self, phone: Phone) -> None:
        (card,) = phone.one("menu", key="drink.beans")["shown"]
        assert card["kind"] == "news"

    def test_a_link_opens_and_is_stored_without_an_answer(self, phone: Phone) -> None:
        delivery = phone.one("menu", key=f"{shop.SITE}/menu")
        assert delivery["state"] == "ignored"
        assert [item["kind"] for item in phone.fresh()] == ["page"]
        assert phone.stored(delivery) == 1

    @pytest.mark.parametrize(
        ("result", "words"),
        [
            ("TABLE-7", "7 号桌"),
            ("CPN-7F3K-92QX", "券码 CPN-7F3K-92QX 收到了"),
            ("https://example.com/other", "不是我们的桌码或券码"),
        ],
    )
    def test_what_a_scanning_button_reads_is_understood(
        self, phone: Phone, result: str, words: str
    ) -> None:
        assert words in text_of(phone.one("menu", key="store.scan", result=result)["shown"])

    def test_a_place_is_answered_once(self, phone: Phone) -> None:
        event, message = phone.do("menu", key="store.near")
        assert event["state"] == "nothing"
        assert "离您最近的是人民广场店" in text_of(message["shown"])
        assert "问过路" in phone.tags()

    def test_pictures_of_a_button_are_answered_one_by_one(self, phone: Phone) -> None:
        event, *pictures = phone.do("menu", key="store.photo", pictures=2)
        assert event["state"] == "nothing"
        assert [picture["state"] for picture in pictures] == ["shown", "shown"]

    def test_every_button_of_the_menu_is_answered_or_opens_something(self, phone: Phone) -> None:
        menu = phone.screen()["menu"]["button"]
        leaves = [leaf for top in menu for leaf in (top["sub_button"] or [top])]
        assert len(leaves) == 9
        for leaf in leaves:
            phone.fresh()
            deliveries = phone.do("menu", key=leaf.get("key") or leaf["url"])
            assert not [d for d in deliveries if d["state"] == "failed"]
            assert phone.fresh() or phone.sent()


class TestCodes:
    def test_a_stranger_who_scans_the_poster_follows_through_it(self, demo: Demo) -> None:
        phone = demo.phone()
        delivery = phone.one("scan", scene="poster")

        assert "<Event><![CDATA[subscribe]]></Event>" in delivery["raw_in"]["plain"]
        assert "第一杯立减 8 元" in text_of(delivery["shown"])
        assert phone.trace(delivery)["why"]["key"] == "poster"
        assert phone.tags() == {"海报来的"}

    @pytest.mark.parametrize(
        ("scene", "words"), [("door", "欢迎光临"), ("table-5", "您在 5 号桌"), ("poster", "又见到")]
    )
    def test_a_follower_who_scans_is_answered(self, phone: Phone, scene: str, words: str) -> None:
        assert words in text_of(phone.one("scan", scene=scene)["shown"])

    def test_the_shop_has_made_its_three_codes(self, demo: Demo) -> None:
        codes = demo.api("GET", f"accounts/{demo.appid}/codes")["codes"]
        assert [code["scene"] for code in codes] == list(shop.CODES)
        assert all(code["alive"] and code["ends_at"] is None for code in codes)


class TestBooking:
    def test_from_the_question_to_the_summary(self, phone: Phone) -> None:
        assert phone.say("我想订位") == "好的，几位一起来？"
        assert "请回复一个数字" in phone.say("一大帮人")
        assert phone.say("三个人").startswith("3 位，哪一天来？")
        assert phone.say("明天").startswith("留个手机号吧")
        assert phone.say("上一步").startswith("3 位，哪一天来？")
        assert phone.say("后天").startswith("留个手机号吧")
        summary = phone.one("text", text="138 0013 8000")

        assert "3 位，座位留到整点后 15 分钟" in text_of(summary["shown"])
        assert phone.trace(summary)["why"]["outcome"] == "finished"
        assert "订过位" in phone.tags()

    def test_all_in_one_message(self, phone: Phone) -> None:
        summary = phone.one("text", text="订位 明天 3人 13800138000")
        words = text_of(summary["shown"])
        assert words.startswith("记下了：3人、明天（")
        assert "3 位，座位留到整点后 15 分钟，有事打 13800138000 找您" in words
        assert phone.trace(summary)["why"]["filled"] == ["size", "day", "phone"]

    def test_a_large_party_is_asked_where_to_sit(self, phone: Phone) -> None:
        assert phone.say("订位 12人").startswith("记下了：12人。\n12 位的话，坐哪儿好呢？")
        assert phone.say("包间").startswith("12 位，哪一天来？")

    def test_it_can_be_cancelled(self, phone: Phone) -> None:
        phone.say("订位")
        assert phone.say("算了") == "好的，先不订了，想来随时说。"
        assert "订过位" not in phone.tags()
        assert "没听懂" in phone.say("3")

    def test_it_ends_by_itself_after_ten_minutes(self, demo: Demo, phone: Phone) -> None:
        phone.say("订位")
        told = demo.api("POST", "time", {"advance_seconds": 601})
        assert told["product"] == "moved"

        assert "已经结束了" in phone.say("3")


class TestOtherMessages:
    def test_a_picture(self, phone: Phone) -> None:
        delivery = phone.one("picture", preset="leaf")
        assert phone.trace(delivery)["why"]["key"] == "image"
        assert "照片" in text_of(delivery["shown"])

    def test_a_position(self, phone: Phone) -> None:
        assert "离您最近" in text_of(phone.one("position")["shown"])

    def test_a_voice(self, phone: Phone) -> None:
        assert "打字告诉我" in text_of(phone.one("voice")["shown"])

    def test_a_reported_place_is_stored_in_silence(self, phone: Phone) -> None:
        delivery = phone.one("location")
        assert delivery["state"] == "nothing"
        assert phone.stored(delivery) == 1

    @pytest.mark.parametrize("name", ["not_xml.xml", "entity_bomb.xml", "msgid_5000_digits.xml"])
    def test_a_hostile_body_shows_no_fault_and_is_kept(
        self, demo: Demo, phone: Phone, hostile: Path, name: str
    ) -> None:
        before = demo.rows("SELECT count(*) FROM quarantine")[0][0]
        phone.fresh()

        delivery = phone.one("raw", xml=(hostile / name).read_text())

        assert delivery["state"] == "nothing"
        assert phone.fresh() == []
        assert demo.rows("SELECT count(*) FROM quarantine")[0][0] == before + 1


class TestTrouble:
    def test_a_repeated_delivery_gets_the_same_answer_and_one_effect(self, phone: Phone) -> None:
        delivery = phone.one("text", text="谢谢")
        phone.fresh()

        for _ in range(3):
            again = phone.demo.api("POST", f"deliveries/{delivery['id']}/repeat")
            assert again["same_answer"] is True

        assert phone.stored(delivery) == 1
        assert len(phone.delivery(delivery["id"])["attempts"]) == 4
        assert phone.fresh() == []

    def test_copies_at_the_same_moment_get_the_same_answer(self, demo: Demo, phone: Phone) -> None:
        demo.faults({"kind": "repeat", "count": 1, "times": 5})
        delivery = phone.one("text", text="入会")
        assert (delivery["same_answer"], len(delivery["attempts"])) == (True, 6)
        assert phone.stored(delivery) == 1

    def test_a_slow_answer_comes_by_customer_message(self, phone: Phone) -> None:
        phone.fresh()
        delivery = phone.one("text", text="慢慢来")

        assert delivery["state"] == "nothing"
        assert delivery["ms"] < 5000
        assert "您在山谷的第一杯手冲" in phone.sent()["text"]
        assert "喝过手冲" in phone.tags()
        assert [said["text"][:2] for said in phone.trace(delivery)["said"]] == ["久等"]

    def test_a_lost_answer_is_asked_for_again_and_shown_once(
        self, demo: Demo, phone: Phone
    ) -> None:
        demo.faults({"kind": "drop_answer", "count": 1})
        delivery = phone.one("text", text="谢谢")

        assert [a["outcome"] for a in delivery["attempts"]] == ["dropped", "shown"]
        assert delivery["same_answer"] is True
        assert phone.stored(delivery) == 1

    def test_what_never_arrives_shows_the_fault_line(self, demo: Demo, phone: Phone) -> None:
        demo.faults({"kind": "unreachable", "count": 3})
        delivery = phone.one("text", text="在吗")
        assert delivery["state"] == "failed"
        assert [item["text"] for item in delivery["shown"]] == [FAULT_LINE]
        assert phone.stored(delivery) == 0

    @pytest.mark.parametrize("kind", ["forged", "stale", "wrong_key", "wrong_appid"])
    def test_what_is_not_from_the_platform_is_refused(
        self, demo: Demo, phone: Phone, kind: str
    ) -> None:
        demo.faults({"kind": kind, "count": 1})
        delivery = phone.one("text", text="在吗")
        assert [a["status"] for a in delivery["attempts"]] == [403]
        assert phone.stored(delivery) == 0

    def test_expired_access_tokens_are_replaced(self, demo: Demo, phone: Phone) -> None:
        demo.faults({"kind": "expired_token", "count": 1})
        phone.one("text", text="wifi")
        assert "slowdown2026" in phone.sent()["text"]

    def test_time_moves_in_the_product_too(self, demo: Demo, phone: Phone) -> None:
        before = phone.trace(phone.one("text", text="谢谢"))["received_at"]
        demo.api("POST", "time", {"advance_seconds": 3600})
        delivery = phone.one("text", text="谢谢")

        assert delivery["state"] == "shown"
        after = phone.trace(delivery)["received_at"]
        assert after[:13] > before[:13]
        until(lambda: phone.say("在吗") or None, "an answer after the move")
