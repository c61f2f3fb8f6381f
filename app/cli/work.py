"""`work`: the worker alone, beside serving processes on PostgreSQL."""

import asyncio
import signal

from app.cli.complaints import load_settings
from app.cli.office import require_migrated
from app.core.log import get_logger, setup_logging

_LOG = get_logger(__name__)


def work() -> None:
    """只运行后台任务（PostgreSQL）· Only the worker, until SIGTERM or Ctrl-C; needs PostgreSQL."""
    from app.runtime import open_runtime  # noqa: PLC0415  # a second that no other command should take

    settings = load_settings().model_copy(update={"role": "worker"})
    setup_logging(settings.log_format, settings.log_level)
    settings.check_for_serving()
    require_migrated(settings)

    async def until_told() -> None:
        told = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        async with open_runtime(settings):
            _LOG.info("work.started")
            await told.wait()
            _LOG.info("work.stopping")

    asyncio.run(until_told())
