from typing import Any

import pytest

from app.core.actions import ActionRegistry, run
from app.core.decisions import KEEP, FlowState
from app.core.errors import Invalid
from app.core.ids import AccountId
from app.core.replies import (
    ArticleReply,
    ImageReply,
    MenuReply,
    MusicReply,
    Reply,
    TextReply,
    VideoReply,
    VoiceReply,
)
from app.engines.followers.effects import TagFollower, UntagFollower
from app.engines.replies.actions import NOT_OPEN, register
from app.engines.replies.compiled import parse_answers
from app.engines.replies.flows import Flow, prepare
from app.engines.replies.options import OPTIONS
from app.engines.replies.plan_checks import checked
from tests.snapshots import NOW, snapshot

ASK = {"name": "问", "steps": [{"ask": "请回答", "save_as": "answer"}]}


class OneFlow:
    """A single flow, 问."""

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None:
        return prepare(checked(ASK), registry) if name == "问" else None


registry = ActionRegistry()
register(registry, OneFlow())

REPLIES: list[tuple[dict[str, Any], Reply, str]] = [
    ({"kind": "text", "text": "你好"}, TextReply("你好"), "回复：你好"),
    ({"kind": "image", "media_id": "m"}, ImageReply("m"), "回复：[图片]"),
    ({"kind": "voice", "media_id": "m"}, VoiceReply("m"), "回复：[语音]"),
    (
        {"kind": "video", "media_id": "m", "title": "t", "description": "d"},
        VideoReply("m", "t", "d"),
        "回复：[视频] t",
    ),
    (
        {"kind": "music", "thumb_media_id": "m", "title": "t", "url": "https://a.example/1.mp3"},
        MusicReply("m", "t", "", "https://a.example/1.mp3", ""),
        "回复：[音乐] t",
    ),
    (
        {"kind": "article", "title": "t", "url": "https://a.example"},
        ArticleReply("t", "", "", "https://a.example"),
        "回复：[图文] t",
    ),
    (
        {"kind": "menu", "head": "选", "options": [{"id": "a", "words": "甲"}], "tail": "。"},
        MenuReply("选", (("a", "甲"),), "。"),
        "回复：选 1. 甲 。",
    ),
]


@pytest.mark.parametrize(("settings", "reply", "preview"), REPLIES)
def test_every_kind_of_reply(settings: dict[str, Any], reply: Reply, preview: str) -> None:
    written = {"do": "reply", "with": settings}
    action = registry.parse(written)
    assert action.decide(snapshot("x")).steps == (reply,)
    assert action.preview() == preview
    assert action.written() == written
    assert registry.parse(action.written()) == action


@pytest.mark.parametrize(
    ("settings", "field", "problem"),
    [
        ({}, "a.with", "kind must be one of text, image"),
        ({"kind": "dance"}, "a.with", "kind must be one of"),
        ({"kind": ["text"]}, "a.with", "kind must be one of"),
        ({"kind": "text"}, "a.with.text", "required"),
        ({"kind": "text", "text": ""}, "a.with.text", "visible character"),
        ({"kind": "text", "text": "a\x00"}, "a.with.text", "U+0000"),
        ({"kind": "text", "text": "字" * 683}, "a.with.text", "2049 bytes in UTF-8"),
        ({"kind": "text", "text": "x", "media_id": "m"}, "a.with.media_id", "not permitted"),
        ({"kind": "image", "media_id": " "}, "a.with.media_id", "visible"),
        ({"kind": "image", "media_id": "m" * 129}, "a.with.media_id", "128"),
        ({"kind": "article", "title": "字" * 65}, "a.with.title", "195 bytes"),
        ({"kind": "article", "title": "t", "url": "shop.example"}, "a.with.url", "http://"),
        (
            {"kind": "article", "title": "t", "url": "https://a.example/" + "x" * 1024},
            "a.with.url",
            "1042 bytes",
        ),
        ({"kind": "menu", "head": "选", "options": []}, "a.with.options", "at least 1"),
        (
            {"kind": "menu", "head": "选", "options": [{"id": "空 格", "words": "甲"}]},
            "a.with.options[0].id",
            "pattern",
        ),
    ],
)
def test_settings_that_are_refused(settings: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(Invalid) as caught:
        registry.parse({"do": "reply", "with": settings}, field="a")
    assert caught.value.details["field"] == field
    assert problem in str(caught.value.details["problem"])


def test_a_long_preview_is_cut() -> None:
    action = registry.parse({"do": "reply", "with": {"kind": "text", "text": "很长" * 50}})
    assert action.preview() == f"回复：{'很长' * 20}…"


def test_tags_are_effects_named_by_the_delivery() -> None:
    snap = snapshot("x", key="w:m:7")
    tag = registry.parse({"do": "tag", "with": {"names": ["常客", " 常客 ", "咖啡"]}})
    assert tag.decide(snap).steps == (
        TagFollower(snap.follower.id, "常客", "w:m:7"),
        TagFollower(snap.follower.id, "咖啡", "w:m:7"),
    )
    assert tag.preview() == "打标签：常客、 常客 、咖啡"
    untag = registry.parse({"do": "untag", "with": {"names": ["常客"]}})
    assert untag.decide(snap).steps == (UntagFollower(snap.follower.id, "常客"),)
    assert untag.preview() == "去标签：常客"
    with pytest.raises(Invalid, match="names"):
        registry.parse({"do": "tag", "with": {"names": ["长" * 31]}})


def test_starting_a_flow_asks_its_first_question() -> None:
    start = registry.parse({"do": "start_flow", "with": {"flow": "问"}})
    decision = start.decide(snapshot("x"))
    assert decision.steps == (TextReply("请回答"),)
    assert isinstance(decision.flow, FlowState)
    assert decision.flow.flow == "问"
    assert start.preview() == "开始对话：问"
    gone = registry.parse({"do": "start_flow", "with": {"flow": "没有"}})
    assert gone.decide(snapshot("x")).steps == (TextReply(NOT_OPEN),)
    assert gone.decide(snapshot("x")).flow is KEEP


def test_words_after_a_flow_was_started_do_not_end_it() -> None:
    start = registry.parse({"do": "start_flow", "with": {"flow": "问"}})
    text = registry.parse({"do": "reply", "with": {"kind": "text", "text": "你好"}})
    for actions in ([start, text], [text, start]):
        decision = run(actions, snapshot("x"), {"rule": "1"})
        assert len(decision.steps) == 2
        assert isinstance(decision.flow, FlowState)
        begun = {"flow": "问", "step": "answer", "outcome": "begun", "begins": "0"}
        assert decision.why == {**begun, "rule": "1"}


def test_a_menu_remembers_its_numbers_but_leaves_a_running_dialogue_alone() -> None:
    menu = registry.parse({"do": "reply", "with": REPLIES[-1][0]})
    flow = menu.decide(snapshot("x")).flow
    assert isinstance(flow, FlowState)
    assert flow.flow == OPTIONS
    assert flow.answers == {"1": ["a", "甲"]}
    running = FlowState("问", 0, {}, NOW.replace(hour=5))
    assert menu.decide(snapshot("x", flow=running)).flow is KEEP
    over = FlowState("问", 0, {}, NOW)
    assert isinstance(menu.decide(snapshot("x", flow=over)).flow, FlowState)


@pytest.mark.parametrize(
    ("answers", "field"),
    [
        (None, "answers"),
        ([], "answers"),
        ([[]], "answers[0]"),
        ([{}], "answers[0]"),
        ([[{"do": "tag", "with": {"names": ["a"]}}, {"do": "?"}]], "answers[0][1].do"),
        ([["reply"]], "answers[0][0]"),
    ],
)
def test_answers_of_the_wrong_shape_are_named(answers: object, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_answers(answers, registry)
    assert caught.value.details["field"] == field
