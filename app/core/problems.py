"""What is wrong with a value that people wrote, in their language.

Pydantic says it in English only; what it says most often is known here in Chinese too, by the type of
the problem. Validators of ours raise `PydanticCustomError` with a type that stands here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from app.core.errors import Invalid
from app.core.text import Language

_PREFIX = "Value error, "
_CHINESE: Mapping[str, str] = {
    "missing": "缺少这一项",
    "extra_forbidden": "没有这一项",
    "string_type": "须为文字",
    "int_type": "须为整数",
    "int_parsing": "须为整数",
    "int_from_float": "须为整数",
    "float_type": "须为数字",
    "float_parsing": "须为数字",
    "bool_type": "须为 true 或 false",
    "bool_parsing": "须为 true 或 false",
    "list_type": "须为列表",
    "tuple_type": "须为列表",
    "dict_type": "须为对象",
    "model_type": "须为对象",
    "model_attributes_type": "须为对象",
    "string_too_short": "至少 {min_length} 个字符",
    "string_too_long": "最多 {max_length} 个字符",
    "too_short": "至少 {min_length} 项",
    "too_long": "最多 {max_length} 项",
    "greater_than_equal": "不得小于 {ge}",
    "less_than_equal": "不得大于 {le}",
    "string_pattern_mismatch": "格式不符：{pattern}",
    "enum": "只能是 {expected}",
    "literal_error": "只能是 {expected}",
    "nul": "不能含字符 U+0000",
    "string_unicode": "不能含半个代理对字符",
    "half_character": "不能含半个代理对字符",
    "no_id": "没有这么大的编号",
    "nothing_visible": "至少要有一个看得见的字符",
    "too_many_bytes": "按 UTF-8 有 {size} 字节，微信最多显示 {limit} 字节",
    "no_web_address": "须以 http:// 或 https:// 开头",
    "nothing_left": "去掉空白后什么也不剩",
    "date_parsing": "须为日期，例如 2026-10-01",
    "date_type": "须为日期，例如 2026-10-01",
    "date_from_datetime_parsing": "须为日期，例如 2026-10-01",
    "date_from_datetime_inexact": "须为日期，例如 2026-10-01",
    "datetime_parsing": "须为时间，例如 2026-10-01T09:00:00+08:00",
    "datetime_from_date_parsing": "须为时间，例如 2026-10-01T09:00:00+08:00",
    "timezone_aware": "须带时区，例如 2026-10-01T09:00:00+08:00",
    "from_after_until": "from 晚于 until",
    "empty_window": "时段的开始与结束相同",
    "tag_twice": "标签「{tag}」同时出现在 tags 和 without 中",
    "wildcard_in_synonym": "同义词不能含 * 或 ?",
    "synonym_twice": "「{word}」在同义词中出现了两次",
    "quote_it": "请加引号，否则会被读作“是/否”",
    "quote_decimal": "请加引号，否则 8.50 会被读作 8.5",
    "bad_pattern": "{problem}",
    "step_count": "须有 1 到 {most} 步",
    "bad_wait": "写法如 40m、2h、1h30m、3d",
    "long_wait": "须长于零，最多 366 天",
    "bad_moment": "写法如 2026-10-01T12:00",
    "far_moment": "年份须在 2000 到 2100 之间",
    "one_doing": "须恰好有其中一项：{known}",
    "words_of_what": "words 只能与 send 同用",
    "expect_of_wait": "等待时没有回复，不能有 expect",
    "unknown_kind": "kind 只能是 {known}",
}


def problem(found: Mapping[str, Any], lang: Language) -> str:
    """One of a `ValidationError`'s errors as a sentence; in English where there is no Chinese for it."""
    template = _CHINESE.get(str(found["type"])) if lang == "zh" else None
    if template is None:
        return str(found["msg"]).removeprefix(_PREFIX)
    return template.format(**{"min_length": 1, **found.get("ctx", {})})


def place(location: Iterable[int | str], within: str = "") -> str:
    """`steps[1].ask`: where in something written a part of it stands."""
    for part in location:
        if isinstance(part, int):
            within += f"[{part}]"
        else:
            within += f".{part}" if within else part
    return within


def invalid(error: ValidationError, field: str = "") -> Invalid:
    """Everything that pydantic found, as one error; `field` is what was looked at."""
    found = [
        Invalid(
            field=place(one["loc"], field) or field,
            problem=problem(one, "en"),
            chinese=problem(one, "zh"),
        )
        for one in error.errors(include_url=False)
    ]
    return all_of(found)


def all_of(found: Iterable[Invalid]) -> Invalid:
    """Several errors, at least one, as one."""
    first, *others = (each for one in found for each in one.every)
    return Invalid(first.chinese, others, **first.details)
