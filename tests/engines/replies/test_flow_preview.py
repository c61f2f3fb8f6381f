from app.engines.replies.flow_preview import preview
from tests.engines.replies.test_walking import BIG, DAY, ROOM, SIZE, Chat, say, tag


def test_a_plan_in_lines() -> None:
    far = [{"if": {"answer": "day", "at_least": "+30d", "given": True}, "go": "day"}]
    steps = [
        {**SIZE, "maximum": 20, "next": BIG},
        {**ROOM, "next": [{"if": {"answer": "room", "in": ["包间"]}, "go": "人"}, {"else": "day"}]},
        {**DAY, "earliest": "today", "next": [*far, {"else": "记"}]},
        {"name": "记", "do": [tag("来过"), say("好")], "next": "note"},
        {"name": "人", "hand_over": "请稍候"},
        {"ask": "备注？", "save_as": "note", "pattern": "\\w+", "next": "end"},
    ]
    chat = Chat({"steps": steps, "expires_seconds": 90})
    assert preview(chat.flows["流程1"]) == [
        "1. size：几位？（数字，1 到 20）",
        "   → size 不小于 8：room",
        "   → 否则：day",
        "2. room：坐哪儿？（选项，包间、大厅）",
        "   → room 是 包间 之一：人",
        "   → 否则：day",
        "3. day：哪天？（日期，today 到 …）",
        "   → day 不小于 +30d，已回答：day",
        "   → 否则：记",
        "4. 记：打标签：来过；回复：好",
        "   → note",
        "5. 人：转人工：请稍候",
        "6. note：备注？（文字，格式 \\w+）",
        "   → 完成",
        "完成：回复：好的，已收到。",
        "超过 1.5 分钟没有回答，自动结束。",
    ]
