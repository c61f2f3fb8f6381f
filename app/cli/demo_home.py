"""Where the demo keeps what is its own, and its settings as every command sees them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from app.core.errors import AppError
from app.core.rng import secret_token
from app.core.settings import Settings

DATABASE = "guanxi.db"
KEY = "demo.key"
_FILES = (DATABASE, "simulator.db")
_BESIDE = ("", "-wal", "-shm", "-journal")


class NotTheDemos(AppError):
    """Nothing of a real installation is written over."""

    code = "NOT_THE_DEMOS"
    zh = "{file} 不是演示数据，不会动它；请设置 GUANXI_DATA_DIR 换一个目录"
    en = "{file} was not made by the demo and is left alone; choose another folder by GUANXI_DATA_DIR"


def at_home(settings: Settings) -> Settings:
    """Demo settings completed: the database in the data folder, the key that lies there.

    What the environment names stays as it is.
    """
    changes: dict[str, object] = {}
    if "database_url" not in settings.model_fields_set:
        changes["database_url"] = f"sqlite:///{settings.data_dir / DATABASE}"
    if not settings.secret_key.get_secret_value():
        changes["secret_key"] = SecretStr(_read_key(settings.data_dir))
    return settings.model_copy(update=changes)


def prepare(folder: Path, *, fresh: bool) -> None:
    """Makes sure that the folder is the demo's and has a key; `fresh` forgets what was there.

    Raises `NotTheDemos` for a database without the demo's key beside it.
    """
    key = folder / KEY
    if not key.exists() and (folder / DATABASE).exists():
        raise NotTheDemos(file=folder / DATABASE)
    if fresh:
        for file in _files(folder):
            file.unlink(missing_ok=True)
        key.unlink(missing_ok=True)
    if not key.exists():
        _write_key(key)


def _files(folder: Path) -> Iterator[Path]:
    for name in _FILES:
        for suffix in _BESIDE:
            yield folder / f"{name}{suffix}"


def _read_key(folder: Path) -> str:
    with suppress(FileNotFoundError):
        return (folder / KEY).read_text(encoding="ascii").strip()
    return ""


def _write_key(path: Path) -> None:
    """For the owner's eyes only, from the first byte on."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{secret_token(48)}\n")
