"""Ours, as `serve` starts it."""

import os

from app.conversation.router import Router
from app.core.decisions import Decision, Snapshot
from app.core.replies import TextReply
from app.core.settings import Settings
from app.engines.replies.matcher import Matcher, RuleKind, RuleWords
from app.main import create_app
from app.runtime import Extensions
from tests.bench import shop

RULES = dict(enumerate(shop.rules(int(os.environ.get("BENCH_RULES", "10")))))
MATCHER = Matcher(RuleWords(n, r.name, RuleKind(r.kind), (r.word,)) for n, r in RULES.items())
router = Router("keywords")


@router.decide()
def answer(snap: Snapshot) -> Decision | None:
    hit = MATCHER.find(snap.incoming.text)
    if hit is None:
        return None
    return Decision.say(TextReply(RULES[hit.rule_id].answer), rule=hit.name, word=hit.word)


app = create_app(Settings(), extensions=Extensions(routers=[router]))
