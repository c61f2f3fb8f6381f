"""Refusals about plugins."""

from app.core.errors import NotFound


class NoSuchPlugin(NotFound):
    code = "NO_SUCH_PLUGIN"
    zh = "没有名为 {plugin} 的插件（已知：{known}）"
    en = "No plugin is named {plugin} (known: {known})"
