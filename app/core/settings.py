"""All settings, read once at start. Every field documents itself: default, meaning, example."""

import os
import re
from pathlib import Path
from typing import Literal

import orjson
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.core.errors import AppError


class BadSettings(AppError):
    """The server does not start like this."""

    code = "BAD_SETTINGS"
    zh = "设置有误：{problem}"
    en = "Bad settings: {problem}"


_PLUGIN_PATH = re.compile(r"[A-Za-z_][\w.]*(:[A-Za-z_][\w.]*)?")


def _listed(value: str) -> list[str]:
    """Names separated by commas, or a JSON list of them. Raises `ValueError`."""
    if not value.lstrip().startswith("["):
        return [name.strip() for name in value.split(",") if name.strip()]
    names: list[str] = orjson.loads(value)
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a list of texts is expected")
    return names


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="GUANXI_", frozen=True, extra="ignore")

    database_url: str = Field(
        "sqlite:///var/guanxi.db",
        description="Where everything is kept. `sqlite:///path` or `postgresql://user@host/name`; "
        "the driver is added.",
    )
    database_listen_url: str = Field(
        "",
        description="A direct PostgreSQL connection for LISTEN, when `database_url` goes through a "
        "pooler. Empty: the same.",
    )
    database_pooled: bool = Field(
        False,
        description="`true` when `database_url` is a pooler in transaction mode: no prepared statements.",
    )
    database_pool_size: int = Field(
        10, ge=2, le=200, description="PostgreSQL connections a process may hold."
    )
    secret_key: SecretStr = Field(
        SecretStr(""),
        description="At least 32 random characters; encrypts account keys at rest. Needed outside the "
        "demo. Example: the output of `openssl rand -base64 48`.",
    )
    public_url: str = Field(
        "",
        description="Where WeChat and followers reach the server, such as `https://wx.example.com`.",
    )
    wechat_api_base: str = Field(
        "https://api.weixin.qq.com",
        description="The platform's API. The demo points it to the simulator.",
    )
    role: Literal["all", "web", "worker"] = Field(
        "all", description="`all` serves and works, `web` only serves, `worker` only works."
    )
    messages_kept_days: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Messages older than so many days are deleted for good, what followers wrote too. "
        "0: kept for ever.",
    )
    outbound_kept_days: int = Field(
        180,
        ge=0,
        le=36_500,
        description="So many days it can be seen how a message was sent, or why not; the message itself "
        "stays. 0: for ever.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks, comma-separated, whose X-Forwarded-For and -Proto are "
        "believed. Example: `10.0.0.0/8`.",
    )
    metrics_token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token for `/metrics`. Empty: only loopback and private addresses may read it.",
    )
    blocked_seconds: float = Field(
        15.0,
        ge=2,
        le=300,
        description="A process whose event loop stands still for so long ends itself and is started "
        "anew by `serve`.",
    )
    plugins: str = Field(
        "",
        description="Plugins beside the installed ones: `package.module:attribute` or `package.module`, "
        "comma-separated or as a JSON list.",
    )
    plugins_most_failures: int = Field(
        10,
        ge=1,
        le=1000,
        description="A plugin that fails so often within `plugins_failure_minutes`, counted over all "
        "processes, is switched off.",
    )
    plugins_failure_minutes: float = Field(
        10.0, ge=1, le=1440, description="See `plugins_most_failures`."
    )
    log_format: Literal["console", "json"] = Field("console", description="How log lines look.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged."
    )
    metrics_dir: str = Field(
        "",
        description="Set by `serve` for its processes: where they keep figures for `/metrics` in common.",
    )
    simulator: bool = Field(
        False,
        description="Serves the WeChat simulator under `/simulator`. Refused together with a public URL, "
        "unless `simulator_forced`.",
    )
    simulator_forced: bool = Field(
        False,
        description="Serve the simulator although a public URL is set. Anybody can use it then.",
    )
    simulator_product_url: str = Field(
        "",
        description="Where the simulator reaches this server: it asks for traces there, and in the demo "
        "tells how far time was moved. Empty: neither. Example: `http://127.0.0.1:8000`.",
    )
    simulator_trace_token: SecretStr = Field(
        SecretStr(""), description="Read-only API token that the simulator asks for traces with."
    )
    demo: bool = Field(
        False, description="Set by `demo`: sample data, moveable time, a throw-away key."
    )
    data_dir: Path = Field(Path("var"), description="Lock file, simulator store, quarantine dumps.")

    @field_validator("database_url", "database_listen_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value and not value.startswith(("sqlite:///", "postgresql://", "postgres://")):
            raise ValueError("must start with sqlite:/// or postgresql://")
        return value

    @field_validator("plugins")
    @classmethod
    def _names_of_plugins(cls, value: str) -> str:
        for name in _listed(value):
            if not _PLUGIN_PATH.fullmatch(name):
                raise ValueError(f"{name!r} is not of the form package.module:attribute")
        return value

    @field_validator("wechat_api_base", "public_url", "simulator_product_url")
    @classmethod
    def _no_slash_at_end(cls, value: str) -> str:
        return value.rstrip("/")

    @property
    def plugin_paths(self) -> tuple[str, ...]:
        """What `plugins` names, in its order."""
        return tuple(_listed(self.plugins))

    @property
    def on_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    def check_for_serving(self) -> None:
        """Raises `BadSettings` for what must not run in front of WeChat."""
        key = self.secret_key.get_secret_value()
        if not self.demo and len(key) < 32:
            raise BadSettings(
                problem="GUANXI_SECRET_KEY must have at least 32 characters (openssl rand -base64 48)"
            )
        if self.simulator and self.public_url and not self.simulator_forced:
            raise BadSettings(
                problem="the simulator must not run at a public URL; unset GUANXI_SIMULATOR"
            )
        if self.role == "worker" and self.on_sqlite:
            raise BadSettings(problem="on SQLite the worker runs inside `serve`; use role `all`")


def child_environment(**changes: str) -> dict[str, str]:
    """The environment for a process of our own, with these variables set."""
    return {**os.environ, **changes}
