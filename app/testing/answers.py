"""What a follower sees of an answer."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Shown:
    """One thing that came from the account."""

    kind: str
    """`text`, `image`, `voice`, `video`, `music`, `news` (an article) or `menu`."""
    text: str
    """The text; of an article its title, of a menu its question; else empty."""
    later: bool
    """It came as a customer message, not as the answer itself."""
    raw: Mapping[str, Any] = field(repr=False)
    """All that the phone was told."""

    @property
    def options(self) -> dict[str, str]:
        """Of a menu: the words of each option, by its id."""
        return {option["id"]: option["text"] for option in self.raw.get("options", ())}


class Answers(tuple[Shown, ...]):
    """Everything that came, in order; empty for silence."""

    @property
    def text(self) -> str:
        """Every text, one below the other."""
        return "\n".join(one.text for one in self if one.text)

    @property
    def later(self) -> "Answers":
        """Only what came as customer messages."""
        return Answers(one for one in self if one.later)


def read_items(items: Iterable[Mapping[str, Any]]) -> Answers:
    """What came from the account among the items of a phone's screen."""
    return Answers(_shown(item) for item in items if item["from"] == "account")


def _shown(item: Mapping[str, Any]) -> Shown:
    match item["kind"]:
        case "news":
            text = item["articles"][0]["title"]
        case "menu":
            text = item["head"]
        case _:
            text = item.get("text") or item.get("title") or ""
    return Shown(str(item["kind"]), str(text), "send" in item, item)
