import string
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.core.problems import _CHINESE, problem
from app.engines.replies.fields import OptionalUrl, Said


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=1, le=9)] = 1
    words: Annotated[list[str], Field(min_length=1, max_length=2)] = ["x"]
    name: Annotated[str, Field(min_length=2, max_length=3, pattern="^[a-z]+$")] = "abc"
    kind: Literal["a", "b"] = "a"
    said: Said = "x"
    url: OptionalUrl = ""


@pytest.mark.parametrize(
    ("given", "chinese", "english"),
    [
        ({"more": 1}, "没有这一项", "Extra inputs are not permitted"),
        ({"count": 0}, "不得小于 1", "greater than or equal to 1"),
        ({"count": 10}, "不得大于 9", "less than or equal to 9"),
        ({"count": "x"}, "须为整数", "valid integer"),
        ({"words": []}, "至少 1 项", "at least 1 item"),
        ({"words": ["x"] * 3}, "最多 2 项", "at most 2 items"),
        ({"words": "x"}, "须为列表", "valid list"),
        ({"name": "a"}, "至少 2 个字符", "at least 2 characters"),
        ({"name": "abcd"}, "最多 3 个字符", "at most 3 characters"),
        ({"name": "AB"}, "格式不符：^[a-z]+$", "match pattern"),
        ({"kind": "c"}, "只能是 'a' or 'b'", "'a' or 'b'"),
        ({"said": " "}, "至少要有一个看得见的字符", "visible character"),
        ({"said": "a\x00"}, "不能含字符 U+0000", "U+0000"),
        ({"said": "字" * 683}, "按 UTF-8 有 2049 字节，微信最多显示 2048 字节", "2049 bytes"),
        ({"url": "shop"}, "须以 http:// 或 https:// 开头", "must start with http://"),
    ],
)
def test_what_is_wrong_in_both_languages(given: dict[str, Any], chinese: str, english: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Form.model_validate(given)
    (found,) = caught.value.errors()
    assert problem(found, "zh") == chinese
    assert english in problem(found, "en")


def test_what_is_not_known_is_said_in_english_without_pydantic_s_own_words() -> None:
    found = {"type": "value_error", "msg": "Value error, give either text or event"}
    assert problem(found, "zh") == problem(found, "en") == "give either text or event"


def test_a_missing_value_and_every_sentence_can_be_said() -> None:
    names = "min_length max_length ge le pattern expected size limit known tag word problem most"
    values = dict.fromkeys(names.split(), 1)
    for kind, template in _CHINESE.items():
        named = {name for _, name, _, _ in string.Formatter().parse(template) if name}
        assert named <= set(values), kind
        assert problem({"type": kind, "msg": "", "ctx": values}, "zh")
