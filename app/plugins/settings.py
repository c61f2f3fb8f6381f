"""A plugin's own settings."""

from typing import ClassVar, Self

from pydantic_settings import BaseSettings, SettingsConfigDict


class NotLoaded(RuntimeError):
    """Settings were asked for before the plugin was loaded."""


class PluginSettings(BaseSettings):
    """Subclass it, give every field a default if it can have one, and secrets the type `SecretStr`.

    `current()` gives the values wherever the plugin needs them; they are read once, at start.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    _current: ClassVar[dict[type["PluginSettings"], "PluginSettings"]] = {}

    @classmethod
    def current(cls) -> Self:
        """The settings of the running plugin. Raises `NotLoaded` outside the server and `Chat`."""
        found = cls._current.get(cls)
        if not isinstance(found, cls):
            raise NotLoaded(f"{cls.__name__} is known only while the plugin runs")
        return found


def put_in_force(settings: PluginSettings) -> None:
    """`current()` of the class gives these from now on."""
    PluginSettings._current[type(settings)] = settings


def in_force(cls: type[PluginSettings]) -> PluginSettings | None:
    return PluginSettings._current.get(cls)
