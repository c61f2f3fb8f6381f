"""Loads every module that declares tables, so that the metadata is complete.

Found by name, since the floors above may not be imported from here.
"""

from importlib import import_module
from pathlib import Path

import app

_OWN = ("app.db.receipts", "app.db.events", "app.db.audit", "app.db.slots")


def load() -> None:
    """Imports `app.**.models` and this floor's own tables."""
    root = Path(app.__file__).parent
    for name in _OWN:
        import_module(name)
    for path in sorted(root.rglob("models.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        if "simulator" not in parts:
            import_module(".".join(parts))
