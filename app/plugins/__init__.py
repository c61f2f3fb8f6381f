"""The face for plugin authors: everything a plugin is made of, of one interface, `API`.

What is listed here keeps its meaning for as long as `API` keeps its number. Anything else of the
server may change at any time. The guide is `docs/plugins.md`.
"""

from app.conversation.apart import Context
from app.conversation.filters import InFlow, Keyword, MenuKey, OfKind, Pattern, Scene
from app.conversation.router import Router
from app.core.actions import Action
from app.core.decisions import KEEP, Decision, Effect, FlowState, Snapshot
from app.core.incoming import Incoming, Kind
from app.core.log import get_logger
from app.core.replies import (
    ArticleReply,
    ImageReply,
    MenuReply,
    MusicReply,
    Reply,
    TextReply,
    VideoReply,
    VoiceReply,
)
from app.core.rng import pick
from app.core.text import normalise
from app.db.effects import EffectKind
from app.db.tx import Tx
from app.delivery.tasks import Again, GiveUp
from app.delivery.work import TaskContext as JobContext
from app.engines.followers.effects import TagFollower, UntagFollower
from app.plugins.plugin import API, Job, Plugin
from app.plugins.settings import PluginSettings
from app.plugins.tools import enqueue, offer, tag, untag

__all__ = [
    "API",
    "KEEP",
    "Action",
    "Again",
    "ArticleReply",
    "Context",
    "Decision",
    "Effect",
    "EffectKind",
    "FlowState",
    "GiveUp",
    "ImageReply",
    "InFlow",
    "Incoming",
    "Job",
    "JobContext",
    "Keyword",
    "Kind",
    "MenuKey",
    "MenuReply",
    "MusicReply",
    "OfKind",
    "Pattern",
    "Plugin",
    "PluginSettings",
    "Reply",
    "Router",
    "Scene",
    "Snapshot",
    "TagFollower",
    "TextReply",
    "Tx",
    "UntagFollower",
    "VideoReply",
    "VoiceReply",
    "enqueue",
    "get_logger",
    "normalise",
    "offer",
    "pick",
    "tag",
    "untag",
]
