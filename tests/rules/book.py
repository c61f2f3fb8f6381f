"""A book of some hundred rules of all kinds, and texts that people might type. Drawn from one seed."""

import random
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.rules.reference import Rule

SYNONYMS = (
    ("营业时间", "几点开门", "开到几点", "opening hours"),
    ("多少钱", "价格", "啥价", "怎么卖"),
    ("wifi", "wi-fi", "无线网", "Wi Fi"),
    ("地址", "在哪", "怎么走", "位置"),
    ("退", "退货", "退钱"),
    ("vip", "会员", "贵宾"),
)
TAGS = ("vip", "新客", "批发", "员工")
_TOPICS = (
    "咖啡 拿铁 奶茶 蛋糕 面包 发票 外卖 停车 包间 生日 团购 积分 优惠券 会员卡 订单 退货 地址 营业时间 "
    "价格 wifi 无线网 打印 充电 宠物 儿童 加盟 招聘 投诉 开到几点 怎么走 coffee latte menu 3.5折 a-b"
)
_FILLERS = "今天 明天 我 你们 请问 有 吗 的 呢 啊 可以 想 要 一下 店里 大杯 好 多 x1 ok 7"
TOPICS, FILLERS = _TOPICS.split(), _FILLERS.split()
PUNCTUATION = ("？", "！", "，", "。", "…", "～", "?", "!", ",", ".", "；", "“", "）")
PATTERNS: tuple[tuple[str, Callable[[random.Random], str]], ...] = (
    (r"单号\d{4,6}", lambda r: f"单号{r.randint(1000, 999999)}"),
    (r"^预约[一二三四五]位", lambda r: f"预约{r.choice('一二三四五')}位"),
    (r"(加|少|去)冰", lambda r: r.choice("加少去") + "冰"),
    (r"号桌[!.]$", lambda r: f"{r.randint(1, 30)}号桌{r.choice('！.')}"),
    (r"SN-?[a-f0-9]{4}", lambda r: f"sn{r.choice(['-', ''])}{r.randint(0, 65535):04x}"),
    (r"快递.+到了", lambda r: f"快递{r.choice(['昨天', '，'])}到了"),
    (r"(a+)+b$", lambda r: "a" * r.randint(1, 9) + "b"),
)
HOURS: tuple[dict[str, Any], ...] = (
    {"daily": [["09:00", "18:00"]]},
    {"daily": [["22:00", "02:00"]]},
    {"weekdays": [6, 7]},
    {"from": "2026-10-01", "until": "2026-10-07"},
    {"from": "2026-10-02", "weekdays": [1, 2, 3, 4, 5], "daily": [["00:00", "12:00"], ["20:00", "24:00"]]},
    {"until": "2026-10-03", "daily": [["21:30", "00:30"]]},
)  # fmt: skip
AUDIENCES: tuple[dict[str, list[str]], ...] = (
    {"tags": ["vip"]},
    {"without": ["员工"]},
    {"tags": ["新客", "批发"], "without": ["vip"]},
)


@dataclass(frozen=True)
class Draw:
    """What one seed gives."""

    rules: tuple[Rule, ...]
    texts: tuple[str, ...]


def draw(seed: int, rules: int, texts: int) -> Draw:
    chance = random.Random(seed)
    book = tuple(_rule(chance, number) for number in range(1, rules + 1))
    return Draw(book, tuple(_text(chance, book) for _ in range(texts)))


def _rule(chance: random.Random, number: int) -> Rule:
    kind = ("exact", "wildcard", "contains", "pattern")[number % 4]
    words = tuple(_word(chance, kind) for _ in range(chance.randint(1, 3)))
    conditional = chance.random() < 0.3
    return Rule(
        number,
        kind,
        words,
        chance.choice((0, 0, 0, 0, 1, 1, -1, 5)),
        chance.choice(HOURS) if conditional and chance.random() < 0.6 else {},
        chance.choice(AUDIENCES) if conditional and chance.random() < 0.6 else {},
    )


def _word(chance: random.Random, kind: str) -> str:
    if kind == "pattern":
        return chance.choice(PATTERNS)[0]
    topic, filler = chance.choice(TOPICS), chance.choice(FILLERS)
    if kind == "exact":
        return chance.choice((topic, topic + filler, filler + topic, f"{topic}，{filler}？"))
    if kind == "contains":
        return chance.choice((topic + filler, filler + topic, filler + filler, f"{topic}!"))
    return chance.choice(
        (f"{topic}*{filler}", f"{filler}?{topic}", f"{topic}??", f"*{topic}，{filler}", f"{filler}{topic}*")
    )  # fmt: skip


def _text(chance: random.Random, book: tuple[Rule, ...]) -> str:
    if chance.random() < 0.2:
        return _said(chance, "".join(chance.choices(FILLERS + TOPICS, k=chance.randint(1, 4))))
    rule = chance.choice(book)
    return _said(chance, _fitting(chance, rule.kind, chance.choice(rule.words)))


def _fitting(chance: random.Random, kind: str, word: str) -> str:
    """A text that the word would match, if nothing else did."""
    if kind == "pattern":
        return next(make(chance) for pattern, make in PATTERNS if pattern == word)
    if kind == "contains":
        return chance.choice(FILLERS) * chance.randint(0, 1) + word + chance.choice(FILLERS)
    if kind == "wildcard":
        return "".join(
            "".join(chance.choices(FILLERS, k=chance.randint(0, 2))) if c == "*"
            else chance.choice("甲z9，") if c == "?" else c
            for c in word
        )  # fmt: skip
    return word


def _said(chance: random.Random, text: str) -> str:
    """As somebody types it: other words for the same, other widths, marks, blanks."""
    if chance.random() < 0.3:
        for group in SYNONYMS:
            for word in group:
                if word in text:
                    text = text.replace(word, chance.choice(group))
                    break
    if chance.random() < 0.2:
        text = "".join(chr(ord(c) + 0xFEE0) if c in string.ascii_letters else c for c in text)
    if chance.random() < 0.2:
        text = text.upper()
    if chance.random() < 0.4:
        text += chance.choice(PUNCTUATION) * chance.randint(1, 2)
    if chance.random() < 0.1:
        place = chance.randint(0, len(text))
        text = text[:place] + chance.choice((" ", "，", "  ")) + text[place:]
    return text
