"""`demo`: one command, and the sample shop answers the phone."""

import asyncio
import errno
import os
import socket
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.complaints import complain, explained, load_settings
from app.cli.demo_home import at_home, prepare
from app.cli.lock import hold
from app.cli.serve import CannotListen, listen, raise_file_limit
from app.cli.supervisor import Supervisor
from app.core.errors import AppError
from app.core.log import get_logger, setup_logging
from app.core.settings import Settings, child_environment
from app.db.migrate import upgrade

if TYPE_CHECKING:
    from app.cli.demo.registration import Registration

_FAREWELL_SECONDS = 2.0
_LOG = get_logger(__name__)


class PortTaken(AppError):
    code = "PORT_TAKEN"
    zh = (
        "端口 {port} 已被占用。换一个：make demo PORT={other}，或 python -m app demo --port {other}"
    )
    en = (
        "Port {port} is taken. Choose another: make demo PORT={other}, "
        "or python -m app demo --port {other}"
    )


def demo(
    host: Annotated[str, typer.Option(help="监听地址 · address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="端口 · port")] = 8000,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="忘掉上次的演示数据 · forget the data of last time")
    ] = False,
) -> None:
    """开一家示例咖啡店：服务器、后台任务和微信模拟器 · Open a sample shop with phone and server.

    数据在 GUANXI_DATA_DIR（默认 var），再次启动时还在。The data stays there for the next start.
    """
    settings = _demo_settings()
    setup_logging(settings.log_format, settings.log_level)
    with ExitStack() as stack:
        lock = stack.enter_context(hold(settings.data_dir))
        prepare(settings.data_dir, fresh=fresh)
        settings = at_home(settings)
        listening = stack.enter_context(_listen(host, port))
        port = listening.getsockname()[1]
        url = f"http://{_reachable(host)}:{port}"
        settings = settings.model_copy(
            update={
                "wechat_api_base": f"{url}/simulator/platform",
                "simulator_product_url": url,
            }
        )
        settings.check_for_serving()
        raise_file_limit()
        upgrade(settings.database_url)
        sys.exit(_run(settings, url, listening, lock.fileno()))


def _demo_settings() -> Settings:
    """Quiet, unless the environment says otherwise."""
    given = load_settings()
    changes: dict[str, object] = {"demo": True, "simulator": True, "role": "all"}
    if "log_level" not in given.model_fields_set:
        changes["log_level"] = "warning"
    return given.model_copy(update=changes)


def _listen(host: str, port: int) -> socket.socket:
    """Raises `PortTaken` or `CannotListen`."""
    try:
        return listen(host, port)
    except CannotListen as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE:
            raise PortTaken(port=port, other=port % 65535 + 1) from error
        raise


def _reachable(host: str) -> str:
    """Where the demo reaches itself: an address that means every interface is none to connect to."""
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{here}]" if ":" in here else here


def _run(settings: Settings, url: str, listening: socket.socket, lock: int) -> int:
    """Serves until a signal comes; the exit code."""
    from app.cli.demo.registration import register  # noqa: PLC0415  # slow to load, see commands

    registration = asyncio.run(register(settings))
    with ExitStack() as stack:
        alive, ours = os.pipe()
        stack.callback(os.close, alive)
        stack.callback(os.close, ours)
        supervisor = Supervisor(
            [sys.executable, "-m", "app.cli.child", str(listening.fileno()), str(alive)],
            1,
            files=(listening.fileno(), alive, lock),
            environment=child_environment(**_variables(settings, registration.trace_token)),
        )
        opener = _Opener(supervisor, settings, url, registration)
        opener.start()
        supervisor.run()
        opener.join(_FAREWELL_SECONDS)
    if opener.failed:
        return 1
    typer.echo("已停止 · stopped")
    return 0


def _variables(settings: Settings, trace_token: str) -> dict[str, str]:
    """What the serving process is told. It talks to this machine alone, past any proxy."""
    return {
        "GUANXI_DEMO": "true",
        "GUANXI_SIMULATOR": "true",
        "GUANXI_ROLE": settings.role,
        "GUANXI_DATABASE_URL": settings.database_url,
        "GUANXI_DATA_DIR": str(settings.data_dir),
        "GUANXI_SECRET_KEY": settings.secret_key.get_secret_value(),
        "GUANXI_LOG_LEVEL": settings.log_level,
        "GUANXI_WECHAT_API_BASE": settings.wechat_api_base,
        "GUANXI_SIMULATOR_PRODUCT_URL": settings.simulator_product_url,
        "GUANXI_SIMULATOR_TRACE_TOKEN": trace_token,
        "NO_PROXY": "*",
        "no_proxy": "*",
    }


class _Opener(threading.Thread):
    """Opens the shop beside the supervisor, which needs the main thread for its signals."""

    def __init__(
        self,
        supervisor: Supervisor,
        settings: Settings,
        url: str,
        registration: "Registration",
    ) -> None:
        super().__init__(name="opener", daemon=True)
        self.failed = False
        self._supervisor = supervisor
        self._settings = settings
        self._url = url
        self._registration = registration

    def run(self) -> None:
        from app.cli.demo.opening import open_shop  # noqa: PLC0415  # slow to load, see commands

        try:
            asyncio.run(open_shop(self._settings, self._url, self._registration))
        except Exception as error:  # noqa: BLE001  # whatever it is, the demo is not to hang half open
            if not self._supervisor.stopping:
                self._give_up(error)
        else:
            typer.echo(_ready_words(self._settings, self._url))

    def _give_up(self, error: Exception) -> None:
        self.failed = True
        complaint = explained(error)
        if complaint is None:
            _LOG.error("demo.not_opened", exc_info=error)
        else:
            complain(complaint)
        self._supervisor.stop()


def _ready_words(settings: Settings, url: str) -> str:
    return f"""
山谷咖啡开门了 · The sample shop is ready: {url}/simulator/

  手机 phone       {url}/simulator/
  接口 API docs    {url}/api/docs
  状态 state       {url}/readyz
  令牌 API token   {_token_command(settings)}

  聊天和规则留在 {settings.data_dir}/，下次启动还在；加 --fresh 从头再来。
  Chats and rules stay in {settings.data_dir}/ for the next start; --fresh begins anew.
  按 Ctrl-C 停止 · Ctrl-C stops.
"""


def _token_command(settings: Settings) -> str:
    variables = "GUANXI_DEMO=1"
    if settings.data_dir != Path("var"):
        variables += f" GUANXI_DATA_DIR={settings.data_dir}"
    python = Path(sys.executable)
    here = Path.cwd()
    shown = python.relative_to(here) if python.is_relative_to(here) else python
    return f"{variables} {shown} -m app setup token --name me --role owner"
