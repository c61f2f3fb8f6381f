import asyncio

from app.core.clock import FakeClock
from app.core.settings import Settings
from app.db.audit import CLI
from app.db.tx import Tx
from app.engines.replies.inputs import RuleInput
from app.runtime import Runtime
from tests.cli.conftest import Run
from tests.shop import open_shop

SAID = [[{"do": "reply", "with": {"kind": "text", "text": "好的"}}]]


def test_conflicts_are_listed_in_both_languages(run: Run, settings: Settings) -> None:
    async def write(runtime: Runtime) -> None:
        async def work(tx: Tx) -> None:
            (account,) = runtime.accounts.all()
            for name, word in (("旧的", "价格"), ("新的", "价格！")):
                data = RuleInput.model_validate(
                    {"name": name, "kind": "exact", "words": [word], "answers": SAID}
                )
                await runtime.replies.rules.create(tx, CLI, account.id, data)

        await runtime.database.transaction(work)

    async def shop() -> None:
        async with open_shop(settings, FakeClock(), prepare=write):
            pass

    asyncio.run(shop())
    found = run("replies", "conflicts", "--account", "shop")
    assert found.code == 0, found.stderr
    assert "「新的」永远不会回复：「价格」总是先由「旧的」的「价格」回复" in found.stdout
    assert "“新的” never answers: “价格” of “旧的” always goes before “价格”" in found.stdout
    assert "2 处 · findings" in found.stdout


def test_an_account_that_is_not_there(run: Run) -> None:
    refused = run("replies", "conflicts", "--account", "nowhere")
    assert refused.code == 1
    assert "nowhere" in refused.stderr
