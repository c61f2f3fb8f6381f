"""The whole book as one file: out, and in again, planned before it is applied."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from app.engines.replies.book_plan import Mode, Plan
from app.engines.replies.document_places import Format
from app.web.api.planned import Planned
from app.web.api.plans import Expect, Note, PlanOnly, PlanOut
from app.web.api.replies import Account, Reader, Writing
from app.web.deps import Write, services, writes

router = APIRouter(prefix="/replies", tags=["replies"])

_MEDIA: dict[Format, str] = {"yaml": "application/yaml", "json": "application/json"}
_FILE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "YAML or JSON, UTF-8, at most 8 MiB: "
        "`{guanxi: 1, settings, rules, bindings, flows}`.",
        "content": {
            "application/yaml": {"schema": {"type": "string"}},
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["guanxi"],
                    "properties": {
                        "guanxi": {"const": 1},
                        "settings": {"$ref": "#/components/schemas/BookSettings"},
                        "rules": {"type": "array", "items": {"type": "object"}},
                        "bindings": {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/BindingInput"},
                        },
                        "flows": {
                            "type": "array",
                            "items": {"$ref": "#/components/schemas/FlowInput"},
                        },
                    },
                }
            },
        },
    }
}


@router.get(
    "/export",
    response_class=Response,
    responses={
        200: {
            "description": "The file; its version in `X-Book-Version`.",
            "content": {media: {"schema": {}} for media in _MEDIA.values()},
        }
    },
)
async def export_book(
    request: Request,
    found: Account,
    _: Reader,
    form: Annotated[Literal["yaml", "json"], Query(alias="format")] = "yaml",
) -> Response:
    """Settings, rules, bindings and flows. Imported again, it changes nothing."""
    text, version = await services(request).imports.export(found.id, form)
    name = f"{found.slug}-replies-{version}.{form}"
    return Response(
        text,
        media_type=_MEDIA[form],
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Book-Version": str(version),
        },
    )


@router.post("/import", response_model=PlanOut, openapi_extra=_FILE)
async def import_book(
    request: Request,
    found: Account,
    who: Writing,
    write: Annotated[Write, Depends(writes)],
    only: PlanOnly = False,
    mode: Annotated[
        Mode, Query(description="`merge` adds and changes; with `replace` the rest goes.")
    ] = "merge",
    expect: Expect = None,
    note: Note = "",
) -> Response:
    """Applies a file as a whole, or shows what it would do.

    With a mistake anywhere nothing is applied, and `details.mistakes` lists every one (2,000 at
    most, `details.count` is of all).
    """
    raw = await request.body()
    imports = services(request).imports

    async def plan() -> Plan:
        return await imports.plan_import(found.id, raw, mode, expect=expect)

    call = Planned(request, found, who.actor, write, "import", note)
    return await (call.show(plan) if only else call.do(plan, again=expect is None))
