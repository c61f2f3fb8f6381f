"""Blocks of plugins that took their process down: whose they were, kept over its end.

The watching thread writes a small file before the process ends; whichever process looks next, often
the one that replaces it, counts the block and removes the file.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import orjson

from app.core.log import get_logger

FOLDER = "plugin-blocks"
_TAKEN = ".taken"
_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Block:
    plugin: str
    at: int
    """Milliseconds."""
    seconds: float


class BlockFiles:
    """The files of one data folder, shared by its processes."""

    def __init__(self, data_dir: Path) -> None:
        self._folder = data_dir / FOLDER

    def write(self, block: Block) -> None:
        """On disk when it returns. A disk that refuses is logged: the process ends anyway."""
        path = self._folder / f"{block.at}-{os.getpid()}.json"
        content = orjson.dumps(
            {"plugin": block.plugin, "at": block.at, "seconds": round(block.seconds, 1)}
        )
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".part")
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        except OSError as error:
            _LOG.error("plugin.block_not_kept", plugin=block.plugin, error=str(error))

    def take(self) -> list[tuple[Path, Block]]:
        """The blocks that nobody has counted; each is given to one process only. `forget` them when
        they are counted, or `put_back`."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._folder))
        except FileNotFoundError:
            return []
        taken = (self._take(self._folder / name) for name in names if name.endswith(".json"))
        return [found for found in taken if found is not None]

    def _take(self, path: Path) -> tuple[Path, Block] | None:
        mine = path.with_suffix(_TAKEN)
        try:
            path.rename(mine)
        except FileNotFoundError:  # another process was quicker
            return None
        try:
            told = orjson.loads(mine.read_bytes())
            return mine, Block(str(told["plugin"]), int(told["at"]), float(told["seconds"]))
        except (ValueError, TypeError, KeyError) as error:
            _LOG.warning("plugin.block_unreadable", file=mine.name, error=repr(error))
            mine.unlink()
            return None

    def forget(self, paths: Iterable[Path]) -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    def put_back(self, paths: Iterable[Path]) -> None:
        for path in paths:
            path.rename(path.with_suffix(".json"))


def whose(
    frame: FrameType | None, packages: Mapping[str, str], marks: frozenset[str]
) -> str | None:
    """The plugin whose code runs in the frame or called it, from the innermost frame outwards.

    A frame is a plugin's when its module is of one of `packages` (by top name), or when it is of one
    of `marks`, the files of ours that stand right before a plugin's code and know it as `self.owner`.
    """
    while frame is not None:
        top = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if top in packages:
            return packages[top]
        if frame.f_code.co_filename in marks:
            owner = getattr(frame.f_locals.get("self"), "owner", None)
            if owner is not None:
                return str(owner)
        frame = frame.f_back
    return None
