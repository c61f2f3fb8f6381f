import re

import httpx
import pytest
from fastapi import FastAPI

from app.web.docs import CHINESE, WORDS, type_words


async def test_the_page_names_every_call_and_shape(app: FastAPI, client: httpx.AsyncClient) -> None:
    page = await client.get("/api/docs")
    assert page.status_code == 200
    document = (await client.get("/api/openapi.json")).json()
    for path in document["paths"]:
        assert f'<code class="path">{path}</code>' in page.text
    for shape in document["components"]["schemas"]:
        assert f'id="shape-{shape}"' in page.text
    for target in re.findall(r'href="#([^"]+)"', page.text):
        assert f'id="{target}"' in page.text


async def test_the_page_keeps_the_strict_policy(client: httpx.AsyncClient) -> None:
    page = (await client.get("/api/docs")).text
    assert "<script" not in page
    assert "<style" not in page
    assert " style=" not in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page), "nothing from elsewhere"
    style = await client.get("/api/docs/style.css")
    assert style.headers["content-type"].startswith("text/css")
    assert "@import" not in style.text
    assert "url(" not in style.text


@pytest.mark.parametrize(
    ("query", "header", "lang"),
    [
        ("", "", "zh-CN"),
        ("", "en", "en"),
        ("?lang=en", "zh", "en"),
        ("?lang=zh", "en", "zh-CN"),
        ("?lang=<script>", "en", "en"),
    ],
)
async def test_both_languages(
    client: httpx.AsyncClient, query: str, header: str, lang: str
) -> None:
    page = await client.get(f"/api/docs{query}", headers={"Accept-Language": header})
    assert f'<html lang="{lang}">' in page.text


async def test_every_call_and_group_has_a_chinese_name(client: httpx.AsyncClient) -> None:
    document = (await client.get("/api/openapi.json")).json()
    calls = [call for methods in document["paths"].values() for call in methods.values()]
    names = {call["summary"] for call in calls} | {tag for call in calls for tag in call["tags"]}
    assert names - set(CHINESE) == set()
    page = (await client.get("/api/docs?lang=zh")).text
    assert '<span class="words">新建规则</span>' in page
    assert "新建规则" not in (await client.get("/api/docs?lang=en")).text


def test_both_languages_have_every_word() -> None:
    assert set(WORDS["zh"]) == set(WORDS["en"])


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/components/schemas/Rule"}, "Rule"),
        ({"type": "array", "items": {"$ref": "#/x/Rule"}, "maxItems": 3}, "list of Rule ≤ 3 items"),
        (
            {"anyOf": [{"type": "string", "maxLength": 5}, {"type": "null"}]},
            "string ≤ 5 chars | null",
        ),
        ({"enum": ["plain", "safe"]}, "plain | safe"),
        ({"const": "text"}, "text"),
        ({"type": "integer", "minimum": -5, "maximum": 5}, "integer ≥ -5 ≤ 5"),
        ({}, "any"),
        ({"type": "array"}, "list of any"),
    ],
)
def test_types_in_words(schema: dict[str, object], words: str) -> None:
    assert type_words(schema) == words
