"""What holds for all of an account's rules and bindings: switches and synonyms."""

from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.core.text import normalise, without_marks
from app.engines.replies.fields import StoredTagName, few, storable

GROUPS = 1000
GROUP_WORDS = 50
SYNONYM_CHARACTERS = 60
SILENT_TAGS = 50


def _speakable(word: str) -> str:
    compared = without_marks(normalise(word))
    if not compared:
        raise PydanticCustomError("nothing_left", "nothing is left of it once blanks are removed")
    if "*" in compared or "?" in compared:
        raise PydanticCustomError("wildcard_in_synonym", "a synonym contains no * and no ?")
    return word


SynonymWord = Annotated[
    str,
    StringConstraints(max_length=SYNONYM_CHARACTERS),
    AfterValidator(storable),
    AfterValidator(_speakable),
]


class BookSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    """Off: no keyword rule and no binding answers; the fallback goes on, running flows finish."""
    silent_for: Annotated[
        tuple[StoredTagName, ...], few(SILENT_TAGS), Field(max_length=SILENT_TAGS)
    ] = ()
    """Followers with one of these tags are not answered but by a running flow."""
    synonyms: Annotated[
        tuple[
            Annotated[
                tuple[SynonymWord, ...],
                few(GROUP_WORDS),
                Field(min_length=2, max_length=GROUP_WORDS),
            ],
            ...,
        ],
        few(GROUPS),
        Field(max_length=GROUPS),
    ] = ()
    """The first word of a group is the one meant."""

    @model_validator(mode="after")
    def _each_word_once(self) -> "BookSettings":
        seen: set[str] = set()
        for group in self.synonyms:
            for word in group:
                compared = without_marks(normalise(word))
                if compared in seen:
                    raise PydanticCustomError(
                        "synonym_twice", "{word} stands among the synonyms twice", {"word": word}
                    )
                seen.add(compared)
        return self

    def written(self) -> dict[str, Any]:
        """The stored form."""
        return self.model_dump(mode="json", exclude_defaults=True)


DEFAULTS = BookSettings()
