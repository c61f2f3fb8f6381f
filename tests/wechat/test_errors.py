"""The table of error codes: complete, without doubles, with words in both languages."""

import pytest

from app.wechat import error_table
from app.wechat.error_table import BY_CODE, PlatformError
from app.wechat.errors import WechatError, error_in, lookup

# The codes of the protocol reference, section 6.
LISTED = {
    -1, 40001, 40002, 40003, 40004, 40005, 40006, 40007, 40008, 40009, 40010, 40011, 40012, 40013,
    40014, 40016, 40017, 40018, 40019, 40020, 40023, 40025, 40026, 40027, 40029, 40030, 40032,
    40033, 40035, 40037, 40048, 40053, 40054, 40055, 40066, 40097, 40125, 40130, 40132, 40137,
    40155, 40163, 40164, 40200, 40201, 40202, 40203, *range(41001, 41010), 42001, 42002, 42007,
    42010, 43001, 43002, 43003, 43004, 43019, 43100, 43101, 43117, 44001, 44002, 44003, 44004,
    45001, 45002, 45003, 45004, 45005, 45006, 45007, 45008, 45009, 45010, 45011, 45015, 45028,
    45047, 45056, 45057, 45058, 45059, 45064, 45065, 45066, 45067, 45072, 45080, 45081, 45083,
    45084, 45157, 45158, 45159, 45166, 46001, 46003, 46004, 47001, 47003, 48001, 48002, 48003,
    48004, 48005, 48006, 48008, 49003, 50001, 50002, 50005, 53503, 53504, 53505, 61004, 61007,
    61016, *range(61450, 61458), 61500, 61501, 63002, *range(65301, 65321), *range(65400, 65417),
    87009, 87014, 89501, 89503, 89506, 89507, 9410010, 9410011, 9410012,
}  # fmt: skip


def test_every_listed_code_is_there_and_no_other() -> None:
    assert set(BY_CODE) == LISTED


def test_no_code_is_in_two_groups() -> None:
    groups = [
        group
        for name, value in vars(error_table).items()
        if name.startswith("_") and name.isupper() and isinstance(value, tuple)
        for group in value
    ]
    assert sum(len(group.codes) for group in groups) == len(BY_CODE)


@pytest.mark.parametrize("error", BY_CODE.values(), ids=lambda error: str(error.code))
def test_words_in_both_languages(error: PlatformError) -> None:
    for zh in (error.zh_meaning, error.zh_remedy):
        assert any("\u4e00" <= char <= "\u9fff" for char in zh)
        assert not zh.endswith("。")
    for en in (error.en_meaning, error.en_remedy):
        assert en.isascii()
    assert error.en_remedy.endswith(".")
    assert not error.en_meaning.endswith(".")


def test_tokens_are_renewed_for_three_codes_alone() -> None:
    assert {error.code for error in BY_CODE.values() if error.refresh_token} == {
        40001,
        40014,
        42001,
    }


@pytest.mark.parametrize("code", [45015, 45047, 43004, 43019, 43101, 48002, 40003])
def test_what_stops_a_follower(code: int) -> None:
    assert lookup(code).stops == "follower"
    assert not lookup(code).retry


@pytest.mark.parametrize("code", [48001, 40013, 40125, 40164, 45009, 48004])
def test_what_stops_the_account(code: int) -> None:
    assert lookup(code).stops == "account"


def test_what_may_be_tried_again_stops_nothing() -> None:
    assert all(error.stops == "none" for error in BY_CODE.values() if error.retry)
    assert lookup(-1).retry


class TestWechatError:
    def test_rid_is_taken_out_of_the_message(self) -> None:
        error = WechatError(
            45015, "response out of time limit or subscription is canceled rid: 6a-7b-8c"
        )
        assert error.errmsg == "response out of time limit or subscription is canceled"
        assert error.rid == "6a-7b-8c"
        assert error.code == 45015
        assert error.meaning is BY_CODE[45015]

    def test_says_it_in_chinese(self) -> None:
        said = WechatError(45047, "out of response count limit, rid: 1-2").say()
        assert said == (
            "本次可下发的客服消息已用完（45047 out of response count limit rid: 1-2）。"
            "请等待用户再次发来消息；把多条回复合并成一条"
        )

    def test_says_it_in_english(self) -> None:
        error = WechatError(48001, "api unauthorized", "9-9")
        assert error.say("en-GB").startswith("The account has no permission for this call (48001")
        assert str(error) == error.say("en")
        assert "rid: 9-9" in str(error)

    @pytest.mark.parametrize("lang", ["zh", "en"])
    def test_unlisted_code_shows_code_message_and_rid(self, lang: str) -> None:
        error = WechatError(20431, "strange thing", "5-5")
        said = error.say(lang)
        assert all(part in said for part in ("20431", "strange thing", "rid: 5-5"))
        assert (error.meaning.stops, error.meaning.retry) == ("call", False)

    def test_without_message(self) -> None:
        assert "(40013)" in WechatError(40013).say("en")


class TestErrorIn:
    @pytest.mark.parametrize("answer", [{}, {"errcode": 0, "errmsg": "ok"}, {"errcode": "x"}])
    def test_success(self, answer: dict[str, object]) -> None:
        assert error_in(answer) is None

    def test_error(self) -> None:
        error = error_in({"errcode": 40001, "errmsg": "invalid credential, rid: a-b"})
        assert error is not None
        assert (error.code, error.errmsg, error.rid) == (40001, "invalid credential", "a-b")
