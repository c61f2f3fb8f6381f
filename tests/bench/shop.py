"""The account that is measured: its keys, its rules, and what its followers type.

Everything is drawn from one seed, so that every subject answers the same texts with the same words.
"""

from dataclasses import dataclass
from functools import cache
from random import Random

SLUG = "bench"
ORIGINAL_ID = "gh_be5c1a7e0f42"
APPID = "wx5f2c9a1e7b3d8046"
SECRET = "9c1e5b7a3f0d2468ace13579bdf02468"
TOKEN = "benchTokenOfTheShop"
AES_KEY = "kWx7mQ2vB9nR4tY6uI8oP1aS3dF5gH7jK9lZ0xC2vB4"
SECRET_KEY = "bench-secret-key-of-at-least-thirty-two-characters"
FOLLOWERS = 5_000
MANY_FOLLOWERS = 1_000_000
TEXTS = 2_000


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    kind: str
    word: str
    answer: str


TEN = (
    Rule("hours", "exact", "营业时间", "每天 8:00–21:30，节假日不休。"),
    Rule("address", "exact", "地址", "解放路 18 号，地铁二号线 B 口出来右转 200 米。"),
    Rule("menu", "exact", "menu", "拿铁 22 元、美式 18 元、手冲 32 元，燕麦奶加 3 元。"),
    Rule("offers", "contains", "优惠", "本周第二杯半价，周五会员日全场八五折。"),
    Rule("card", "contains", "会员卡", "到店报手机号即可办卡，首杯免费。"),
    Rule("invoice", "contains", "发票", "请把抬头和税号发给我们，当天开好电子发票。"),
    Rule("order", "wildcard", "订单*", "收到，正在为您查询这份订单，请稍候。"),
    Rule("table", "wildcard", "?号桌", "已为您登记桌号，店员马上过来。"),
    Rule("phone", "pattern", r"^1[3-9]\d{9}$", "手机号已收到，我们会尽快联系您。"),
    Rule("booking", "pattern", r"预[约订]\d+[人位]", "已收到您的预约，到店请报手机尾号。"),
)
"""Each kind of rule, as a small shop has them."""

_SYLLABLES = (
    "店茶杯豆奶糖冰热单品礼券卡会员日周月新旧大小红蓝绿白早午晚春夏秋冬东南西北路口门桌窗花果香甜"
)


def rules(count: int) -> tuple[Rule, ...]:
    """The ten, and fillers up to `count`: of a hundred 49 exact, 45 contains, 5 wildcard, 1 pattern.

    Fillers share their first characters with each other and none occurs in a text of `texts`.
    """
    random = Random(count)
    joined = "\n".join(texts())
    fillers: dict[str, Rule] = {}
    while len(fillers) < count - len(TEN):
        number = len(fillers)
        stem = "".join(random.choices(_SYLLABLES, k=random.randint(3, 6)))
        if stem in joined or stem in fillers:
            continue
        fillers[stem] = _filler(number, stem)
    return (*TEN, *fillers.values())


def _filler(number: int, stem: str) -> Rule:
    place = number % 100
    answer = f"关于“{stem}”，请回复 {number} 了解详情。"
    if place < 49:
        return Rule(f"exact {number}", "exact", stem, answer)
    if place < 94:
        return Rule(f"contains {number}", "contains", stem, answer)
    if place < 99:
        return Rule(f"wildcard {number}", "wildcard", f"{stem}*第?", answer)
    return Rule(f"pattern {number}", "pattern", rf"{stem}\d+(号|元)", answer)


@cache
def texts() -> tuple[str, ...]:
    """What followers type, each kind of rule in a quarter of them; every text has its rule."""
    return tuple(answers())


@cache
def answers() -> dict[str, str]:
    """The words that answer each text: what a bot would know that had looked all rules up before."""
    random = Random(2026)
    known: dict[str, str] = {}
    exact = TEN[:3]
    for rule in exact:
        known[rule.word] = rule.answer
    while len(known) < TEXTS:
        rule, text = _contact(random)
        known[text] = rule.answer
    return known


def drawn_texts(random: Random, count: int) -> list[str]:
    """`count` texts as followers send them: of each kind of rule a quarter."""
    exact = [rule.word for rule in TEN[:3]]
    other = [text for text in texts() if text not in exact]
    return [
        random.choice(exact) if random.random() < 0.25 else random.choice(other)
        for _ in range(count)
    ]


def _contact(random: Random) -> tuple[Rule, str]:
    number = random.randint(2, 9_999)
    return random.choice(
        (
            (TEN[3], f"请问{number}号店还有优惠活动吗"),
            (TEN[4], f"我想办{number}张会员卡"),
            (TEN[5], f"昨天消费{number}元能开发票吗"),
            (TEN[6], f"订单{number:06d}到哪里了"),
            (TEN[6], f"订单 {number}"),
            (TEN[7], f"{number % 10}号桌"),
            (TEN[8], f"1{random.choice('3578')}{number:09d}"),
            (TEN[9], f"我要预约{number % 40 + 1}位，明天{number % 12 + 9}点"),
            (TEN[9], f"预订{number % 20 + 1}人"),
        )
    )
