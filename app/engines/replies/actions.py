"""The actions of this engine: say something, tag, start a dialogue."""

from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator
from pydantic_core import PydanticCustomError

from app.core import replies
from app.core.actions import Action, ActionRegistry
from app.core.decisions import Decision, Snapshot
from app.core.ids import AccountId
from app.core.replies import Reply, plain_text
from app.engines.followers.effects import TagFollower, UntagFollower
from app.engines.replies import options
from app.engines.replies.fields import (
    TAG_CHARACTERS,
    Description,
    FlowName,
    MediaId,
    OptionalSaid,
    OptionalTitle,
    OptionalUrl,
    OptionId,
    OptionWords,
    Said,
    TagName,
    Title,
)
from app.engines.replies.flows import Flow
from app.engines.replies.walking import begin

_PREVIEW = 40
NOT_OPEN = "抱歉，这项服务暂时没有开放。"


class ReplyAction(Action):
    """`reply`: one message, of the kind that `kind` names. The subclasses hold the settings."""

    name: ClassVar[str] = "reply"
    kind: str

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_kind(
        cls, data: Any, handler: ModelWrapValidatorHandler["ReplyAction"]
    ) -> "ReplyAction":
        if cls is not ReplyAction or isinstance(data, ReplyAction):
            return handler(data)
        kind = data.get("kind") if isinstance(data, dict) else None
        known = _KINDS.get(kind) if isinstance(kind, str) else None
        if known is None:
            names = ", ".join(_KINDS)
            raise PydanticCustomError(
                "unknown_kind", "kind must be one of {known}", {"known": names}
            )
        return known.model_validate(data)

    @abstractmethod
    def reply(self) -> Reply:
        """What is said."""

    def decide(self, snap: Snapshot) -> Decision:
        return Decision(steps=(self.reply(),))

    def preview(self) -> str:
        words = " ".join(plain_text(self.reply()).split())
        return f"回复：{words[:_PREVIEW]}{'…' if len(words) > _PREVIEW else ''}"


class SayText(ReplyAction):
    kind: Literal["text"]
    text: Said

    def reply(self) -> Reply:
        return replies.TextReply(self.text)


class SayImage(ReplyAction):
    kind: Literal["image"]
    media_id: MediaId

    def reply(self) -> Reply:
        return replies.ImageReply(self.media_id)


class SayVoice(ReplyAction):
    kind: Literal["voice"]
    media_id: MediaId

    def reply(self) -> Reply:
        return replies.VoiceReply(self.media_id)


class SayVideo(ReplyAction):
    kind: Literal["video"]
    media_id: MediaId
    title: OptionalTitle = ""
    description: Description = ""

    def reply(self) -> Reply:
        return replies.VideoReply(self.media_id, self.title, self.description)


class SayMusic(ReplyAction):
    kind: Literal["music"]
    thumb_media_id: MediaId
    title: OptionalTitle = ""
    description: Description = ""
    url: OptionalUrl = ""
    hq_url: OptionalUrl = ""

    def reply(self) -> Reply:
        return replies.MusicReply(
            self.thumb_media_id, self.title, self.description, self.url, self.hq_url
        )


class SayArticle(ReplyAction):
    kind: Literal["article"]
    title: Title
    description: Description = ""
    picture_url: OptionalUrl = ""
    url: OptionalUrl = ""

    def reply(self) -> Reply:
        return replies.ArticleReply(self.title, self.description, self.picture_url, self.url)


class MenuOption(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: OptionId
    words: OptionWords


class SayMenu(ReplyAction):
    """A tapped option comes back as a text with these words, and with the id, which may be bound
    like a menu key."""

    kind: Literal["menu"]
    head: Said
    options: Annotated[tuple[MenuOption, ...], Field(min_length=1, max_length=10)]
    tail: OptionalSaid = ""

    def reply(self) -> replies.MenuReply:
        pairs = tuple((option.id, option.words) for option in self.options)
        return replies.MenuReply(self.head, pairs, self.tail)

    def decide(self, snap: Snapshot) -> Decision:
        """Where options cannot be tapped, their numbers are understood for a while."""
        reply = self.reply()
        return Decision(steps=(reply,), flow=options.remember(reply, snap))


_KINDS: dict[str, type[ReplyAction]] = {
    "text": SayText,
    "image": SayImage,
    "voice": SayVoice,
    "video": SayVideo,
    "music": SayMusic,
    "article": SayArticle,
    "menu": SayMenu,
}

_Names = Annotated[tuple[TagName, ...], Field(min_length=1, max_length=10)]


class TagAction(Action):
    """`tag`: the follower gets these tags; those not there yet are made."""

    name: ClassVar[str] = "tag"
    names: _Names

    def decide(self, snap: Snapshot) -> Decision:
        return Decision(
            steps=tuple(
                TagFollower(snap.follower.id, name, snap.key) for name in _tag_names(self.names)
            )
        )

    def preview(self) -> str:
        return f"打标签：{'、'.join(self.names)}"


def _tag_names(names: tuple[str, ...]) -> list[str]:
    """Names as they are stored. One filled from an answer may be empty or too long by now."""
    cut = (name.strip()[:TAG_CHARACTERS] for name in names)
    return list(dict.fromkeys(name for name in cut if name))


class UntagAction(Action):
    """`untag`: the follower loses these tags."""

    name: ClassVar[str] = "untag"
    names: _Names

    def decide(self, snap: Snapshot) -> Decision:
        return Decision(
            steps=tuple(UntagFollower(snap.follower.id, name) for name in _tag_names(self.names))
        )

    def preview(self) -> str:
        return f"去标签：{'、'.join(self.names)}"


class FlowSource(Protocol):
    """Where flows are found by name; `Book` is one."""

    def find_flow(self, account_id: AccountId, name: str, version: int = 0) -> Flow | None: ...


def start_flow(source: FlowSource) -> type[Action]:
    """The action `start_flow` over these flows."""

    class StartFlow(Action):
        """`start_flow`: asks the first question of a dialogue."""

        name: ClassVar[str] = "start_flow"
        hears: ClassVar[bool] = True
        flow: FlowName

        def decide(self, snap: Snapshot) -> Decision:
            flow = source.find_flow(snap.account.id, self.flow)
            if flow is None:
                return Decision.say(replies.TextReply(NOT_OPEN), missing_flow=self.flow)
            return begin(flow, snap)

        def preview(self) -> str:
            return f"开始对话：{self.flow}"

    return StartFlow


def register(registry: ActionRegistry, source: FlowSource) -> None:
    """Makes this engine's actions known."""
    for action in (ReplyAction, TagAction, UntagAction, start_flow(source)):
        registry.add(action)
