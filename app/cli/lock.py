"""One serving process per SQLite database: a locked file in the data folder."""

import fcntl
import os
from pathlib import Path
from typing import IO

from app.core.errors import AppError

NAME = "serve.lock"


class AlreadyServing(AppError):
    code = "ALREADY_SERVING"
    zh = "已有一个 serve 进程（{holder}）在使用 {file}；SQLite 只能由一个进程提供服务"
    en = "Another serve process ({holder}) holds {file}; on SQLite only one may serve"


def hold(folder: Path) -> IO[str]:
    """The locked file; the lock lasts while any process has it open. Raises `AlreadyServing`.

    A process that inherits the file keeps the lock after its parent has died.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    file = path.open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        holder = file.read().strip() or "?"
        file.close()
        raise AlreadyServing(holder=holder, file=path) from error
    file.seek(0)
    file.truncate()
    file.write(f"pid {os.getpid()}\n")
    file.flush()
    return file
