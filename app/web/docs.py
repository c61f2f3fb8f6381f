"""`/api/docs`: the OpenAPI document as a page of ours, complete HTML without a script.

The usual pages over OpenAPI need a CDN and inline code, which the content security policy forbids.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import FileResponse, HTMLResponse, Response

from app.core.text import Language
from app.web.language import language_of

_HERE = Path(__file__).parent
_METHODS = ("get", "post", "put", "patch", "delete")

WORDS: dict[Language, dict[str, str]] = {
    "zh": {
        "lang": "zh-CN",
        "title": "接口文档",
        "intro": "每个请求都带上 Authorization: Bearer gx_…；可见多个公众号时，用 X-Guanxi-Account 指明一个。"
        "写操作可带 Idempotency-Key，重复发送只生效一次。编号以字符串表示，时间为 UTC。",
        "document": "OpenAPI 文档",
        "contents": "目录",
        "calls": "接口",
        "shapes": "数据结构",
        "parameters": "参数",
        "body": "请求内容",
        "answers": "响应",
        "field": "字段",
        "place": "位置",
        "type": "类型",
        "meaning": "说明",
        "status": "状态",
        "required": "必填",
        "other": "其他",
        "switch": "English",
        "switch_to": "en",
        "skip": "跳到正文",
        "empty": "没有内容",
    },
    "en": {
        "lang": "en",
        "title": "API",
        "intro": "Every call carries Authorization: Bearer gx_…; who may see several accounts names one by "
        "X-Guanxi-Account. Writes may carry an Idempotency-Key: sent again, they take effect once. "
        "Ids are strings, times are UTC.",
        "document": "OpenAPI document",
        "contents": "Contents",
        "calls": "Calls",
        "shapes": "Shapes",
        "parameters": "Parameters",
        "body": "Body",
        "answers": "Answers",
        "field": "Field",
        "place": "In",
        "type": "Type",
        "meaning": "Meaning",
        "status": "Status",
        "required": "required",
        "other": "Other",
        "switch": "中文",
        "switch_to": "zh",
        "skip": "Skip to content",
        "empty": "empty",
    },
}


CHINESE: dict[str, str] = {
    "accounts": "公众号",
    "replies": "回复",
    "plugins": "插件",
    "demo": "演示",
    "List Accounts": "公众号列表",
    "Me": "当前令牌",
    "List Rules": "规则列表",
    "Create Rule": "新建规则",
    "Get Rule": "查看规则",
    "Update Rule": "修改规则",
    "Delete Rule": "删除规则",
    "List Bindings": "绑定列表",
    "Create Binding": "新建绑定",
    "Get Binding": "查看绑定",
    "Update Binding": "修改绑定",
    "Delete Binding": "删除绑定",
    "List Flows": "流程列表",
    "Create Flow": "新建流程",
    "Get Flow": "查看流程",
    "Preview Flow": "整个流程一览",
    "Update Flow": "修改流程",
    "Delete Flow": "删除流程",
    "Get Settings": "查看总设置：开关与同义词",
    "Update Settings": "修改总设置",
    "Get Conflicts": "规则冲突：永远不会生效的、同词同优先级的、盖住其他规则的",
    "Dry Run": "试运行：会由谁回复、为什么",
    "Get Trace": "回复依据：一条推送由谁回复、为什么",
    "List Tallies": "每天命中多少次：规则、绑定或流程",
    "List Misses": "没有人回答的话，按次数排",
    "Dismiss Miss": "搁置一句：不需要回答",
    "Run Conversations": "用对话文件测试规则，比较两个版本",
    "List Plugins": "插件列表",
    "Switch Plugin": "打开或关闭插件",
    "Export Book": "导出全部规则、绑定、流程和设置",
    "Import Book": "导入一个文件，或先看计划",
    "List Versions": "版本列表",
    "Get Version": "查看一个版本改了什么",
    "Compare Versions": "比较两个版本",
    "Roll Back": "回到某个版本",
    "Move Time": "推移时间（仅演示）",
}
"""Groups and calls in Chinese; the document itself names them in English."""


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    required: bool
    meaning: str
    place: str = ""
    shape: str = ""
    """The name of the shape it refers to, for a link."""


@dataclass(frozen=True, slots=True)
class Call:
    anchor: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[Field, ...]
    body: Field | None
    answers: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    name: str
    meaning: str
    fields: tuple[Field, ...]


router = APIRouter(prefix="/api/docs", include_in_schema=False)


@router.get("")
async def page(request: Request, lang: str = "") -> Response:
    """Rendered once per language, beside the event loop: a large document takes a while."""
    language = _language(request, lang)
    state = request.app.state
    if not hasattr(state, "docs"):
        state.docs = {}
    rendered: dict[Language, str] = state.docs
    if language not in rendered:
        rendered[language] = await asyncio.to_thread(_render, request.app, language)
    return HTMLResponse(rendered[language], headers={"Vary": "Accept-Language"})


def _render(app: FastAPI, language: Language) -> str:
    document: Mapping[str, Any] = app.openapi()
    words = WORDS[language]
    return (
        _templates()
        .get_template("docs.html")
        .render(
            t=words,
            info=document["info"],
            groups=groups(document, words["other"]),
            named=CHINESE if language == "zh" else {},
            shapes=shapes(document),
        )
    )


@router.get("/style.css")
async def style() -> Response:
    return FileResponse(_HERE / "static" / "docs.css", media_type="text/css")


def _language(request: Request, asked: str) -> Language:
    match asked:
        case "zh" | "en":
            return asked
        case _:
            return language_of(request.headers)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def groups(document: Mapping[str, Any], other: str) -> dict[str, list[Call]]:
    """Calls by their first tag, in the order of the document."""
    found: dict[str, list[Call]] = {}
    for path, methods in document.get("paths", {}).items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                tag = (operation.get("tags") or [other])[0]
                found.setdefault(tag, []).append(_call(method, path, operation))
    return found


def shapes(document: Mapping[str, Any]) -> list[Shape]:
    schemas = document.get("components", {}).get("schemas", {})
    return [_shape(name, schemas[name]) for name in sorted(schemas)]


def _call(method: str, path: str, operation: Mapping[str, Any]) -> Call:
    return Call(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation.get("summary", ""),
        description=operation.get("description", ""),
        parameters=tuple(_parameter(found) for found in operation.get("parameters", ())),
        body=_body(operation),
        answers=_answers(operation["responses"]),
    )


def _parameter(found: Mapping[str, Any]) -> Field:
    schema = found.get("schema", {})
    return Field(
        name=found["name"],
        type=type_words(schema),
        required=found.get("required", False),
        meaning=found.get("description", schema.get("description", "")),
        place=found["in"],
    )


def _body(operation: Mapping[str, Any]) -> Field | None:
    given = operation.get("requestBody")
    if given is None:
        return None
    schema = _content(given)
    required = given.get("required", False)
    return Field("", type_words(schema), required, "", shape=_reference(schema))


def _answers(responses: Mapping[str, Mapping[str, Any]]) -> tuple[Field, ...]:
    """What succeeds one by one; the refusals, which all look alike, in one line."""
    good = tuple(_answer(c, found) for c, found in responses.items() if c < "400")
    bad = [_answer(c, found) for c, found in responses.items() if c >= "400"]
    if not bad:
        return good
    codes = " ".join(answer.name for answer in bad)
    return (*good, Field(codes, bad[0].type, False, "", shape=bad[0].shape))


def _answer(code: str, found: Mapping[str, Any]) -> Field:
    schema = _content(found)
    words = found.get("description", "").removeprefix("Successful Response")
    return Field(code, type_words(schema), False, words, shape=_reference(schema))


def _content(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema of the first media type, or an empty one."""
    for media in found.get("content", {}).values():
        schema: Mapping[str, Any] = media.get("schema", {})
        return schema
    return {}


def _shape(name: str, schema: Mapping[str, Any]) -> Shape:
    required = schema.get("required", ())
    fields = tuple(
        Field(
            name=field,
            type=type_words(found),
            required=field in required,
            meaning=found.get("description", ""),
            shape=_reference(found),
        )
        for field, found in schema.get("properties", {}).items()
    )
    if not fields:
        fields = (Field("", type_words(schema), False, "", shape=_reference(schema)),)
    return Shape(name, schema.get("description", ""), fields)


def _reference(schema: Mapping[str, Any]) -> str:
    """The first shape a schema speaks of, itself or as an item."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    items = [schema["items"]] if "items" in schema else []
    for part in (*items, *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        if found := _reference(part):
            return found
    return ""


_LIMITS = {
    "minLength": "≥ {} chars",
    "maxLength": "≤ {} chars",
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "minItems": "≥ {} items",
    "maxItems": "≤ {} items",
    "pattern": "/{}/",
}


def type_words(schema: Mapping[str, Any]) -> str:
    """A schema in a few words: `list of string`, `subscription | service`, `integer ≥ 1`."""
    if "$ref" in schema:
        return _reference(schema)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " | ".join(type_words(part) for part in schema[choice])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "const" in schema:
        return str(schema["const"])
    word = str(schema.get("type", "any"))
    if word == "array":
        word = f"list of {type_words(schema.get('items', {}))}"
    limits = (words.format(schema[name]) for name, words in _LIMITS.items() if name in schema)
    return " ".join((word, *limits))
