"""Which version of the tables this program needs, read without Alembic: ten megabytes less to serve with."""

import re
from functools import cache
from pathlib import Path

import app

MIGRATIONS = Path(app.__file__).parent.parent / "migrations" / "versions"
_REVISION = re.compile(r'^revision = "(\w+)"$', re.MULTILINE)
_FOLLOWS = re.compile(r'^down_revision = "(\w+)"$', re.MULTILINE)


@cache
def wanted() -> str | None:
    """The revision that no other follows; None where the migrations are not there."""
    texts = [path.read_text() for path in sorted(MIGRATIONS.glob("*.py"))]
    followed = {found[1] for text in texts if (found := _FOLLOWS.search(text))}
    heads = [found[1] for text in texts if (found := _REVISION.search(text))]
    return next((revision for revision in reversed(heads) if revision not in followed), None)
