"""Why a contact was answered as it was, in a sentence or two for staff. Pure."""

from collections.abc import Mapping
from typing import Any

from app.core.text import Language
from app.engines.replies.matcher import SENTENCES, Explanation

_WORDS: Mapping[Language, Mapping[str, str]] = {
    "zh": {
        "binding": "绑定「{place}」",
        "hours": "绑定「{place}」此时不生效",
        "audience": "绑定「{place}」不对这位关注者生效",
        "switched_off": "关键词规则和绑定已全部停用，由兜底回复",
        "silent": "标签「{tag}」的关注者不自动回复",
        "before": "{handler} 先于关键词规则「{rule}」",
        "fallback": "没有规则或绑定匹配，由兜底回复",
        "handler": "由 {handler} 回复",
    },
    "en": {
        "binding": "bound to “{place}”",
        "hours": "the binding on “{place}” does not hold at this time",
        "audience": "the binding on “{place}” does not hold for this follower",
        "switched_off": "keyword rules and bindings are all switched off: the fallback answers",
        "silent": "followers tagged “{tag}” are not answered by the program",
        "before": "{handler} is asked before the keyword rule “{rule}”",
        "fallback": "no rule or binding matches: the fallback answers",
        "handler": "{handler} answers",
    },
}


def is_by_rule(why: Mapping[str, Any], explained: Explanation) -> bool:
    return "rule" in why and explained.winner is not None


def reason_of(why: Mapping[str, Any], explained: Explanation, lang: Language) -> str:
    """`why` is the trace; `explained` what the keyword rules have to say to the text."""
    if is_by_rule(why, explained):
        return explained.reason(lang)
    words = _WORDS[lang]
    passed = [words[one["why"]].format(place=place(one)) for one in why.get("passed_bindings", ())]
    sentences = [_reason(why, explained, words), *explained.passed_reasons(lang), *passed]
    return SENTENCES[lang].join(sentences)


def _reason(why: Mapping[str, Any], explained: Explanation, words: Mapping[str, str]) -> str:
    if why.get("silent") == "tag":
        return words["silent"].format(tag=why["tag"])
    if "binding" in why:
        return words["binding"].format(place=place(why))
    handler = why.get("handler") or ""
    if handler.startswith("fallback"):
        return words["switched_off" if "switched_off" in why else "fallback"]
    if explained.winner is not None:
        return words["before"].format(handler=handler, rule=explained.winner.name)
    return words["handler"].format(handler=handler)


def place(binding: Mapping[str, Any]) -> str:
    """`menu today`: what a binding is on, and its key."""
    return f"{binding['on']} {binding['key']}".rstrip()
