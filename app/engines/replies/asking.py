"""The words around questions: asked, asked again, and the ways out. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from app.core.replies import MenuReply, Reply, TextReply
from app.engines.replies.answers import retry_words
from app.engines.replies.placeholders import fill_text
from app.engines.replies.plans import FlowPlan, Question
from app.engines.replies.several import Filled

FINISHED = "好的，已收到。"
RESUMED = "我们接着刚才的："
NOTHING_BEFORE = "前面没有可以改的了。"
LOST = "抱歉，这里绕了一大圈也没能办好，先停一下。"
_NO_PERSON = "您的留言我们已经收到，会尽快联系您。"
_GIVEN_UP = "抱歉，一直没能看懂您的回答，先帮您退出了。您的留言我们都收到了，需要时可以重新开始。"


def question(asked_: Question, words: str) -> Reply:
    """A choice is a menu; anything else is text."""
    if asked_.expect != "choice":
        return TextReply(words)
    options = tuple((f"{asked_.save_as}:{n}", c) for n, c in enumerate(asked_.choices, 1))
    return MenuReply(words, options)


def asked(question_: Question, answers: Mapping[str, Any], before: str = "") -> str:
    words = fill_text(question_.ask, answers)
    return f"{before}\n{words}" if before else words


def noted(filled: Sequence[Filled]) -> str:
    """What was understood, said back before it is used."""
    return f"记下了：{'、'.join(_noted(one) for one in filled)}。"


def _noted(one: Filled) -> str:
    """A relative day with the date it stands for."""
    value = str(one.value)
    is_day = len(value) == 10 and value[4] == value[7] == "-"
    return f"{one.words}（{value}）" if is_day and one.words != value else one.words


def again(
    plan: FlowPlan,
    question_: Question,
    answers: Mapping[str, Any],
    today: date,
    misses: int,
    *,
    person: bool,
    contact: str,
) -> str:
    """Never the same words twice in a row: a hint, then the question itself, then a person."""
    hint = fill_text(retry_words(question_, today), answers)
    out = f"（回复「{plan.cancel_words[0]}」可以退出）"
    if misses <= 1:
        return f"{hint}\n{out}"
    if misses == 2:
        return f"还是没看懂，再问一次：{fill_text(question_.ask, answers)}\n{hint}\n{out}"
    ways = [f"回复「{plan.cancel_words[0]}」退出"]
    if person and plan.person_words:
        ways.insert(0, f"回复「{plan.person_words[0]}」找人帮忙")
    words = f"抱歉，我一直没能看懂。您可以{'，或'.join(ways)}；也可以再试一次：\n{hint}"
    return f"{words}\n{contact}" if contact else words


def given_up(contact: str) -> str:
    return f"{_GIVEN_UP}\n{contact}" if contact else _GIVEN_UP


def no_person(contact: str) -> str:
    return f"{_NO_PERSON}\n{contact}" if contact else _NO_PERSON
