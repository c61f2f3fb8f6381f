"""For the tests of plugin authors: `Chat` is a follower's chat with a real installation, offline."""

from app.testing.answers import Answers, Shown
from app.testing.chat import Chat, Follower, NotAnswered, PluginFailed, PluginLeftOut

__all__ = [
    "Answers",
    "Chat",
    "Follower",
    "NotAnswered",
    "PluginFailed",
    "PluginLeftOut",
    "Shown",
]
