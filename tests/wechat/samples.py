"""The sample deliveries and what stands beside them, read without any code of ours."""

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "samples" / "wechat"
INDEX: dict[str, Any] = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
VECTORS: dict[str, Any] = json.loads(
    (FOLDER / "encrypted" / "vectors.json").read_text(encoding="utf-8")
)
BY_FILE: dict[str, dict[str, Any]] = {sample["file"]: sample for sample in INDEX["samples"]}


def read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def read_bytes(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def leaf(xml: str, name: str) -> str:
    """The first element of this name that holds text, found by pattern; `""` when there is none."""
    found = re.search(rf"<{name}>(?:<!\[CDATA\[(.*?)\]\]>|([^<]*))</{name}>", xml, re.DOTALL)
    return (found[1] or found[2] or "") if found else ""
