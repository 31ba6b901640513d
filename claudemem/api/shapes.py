"""What request bodies are made of. Types are strict, unknown keys are dropped."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

# The last millisecond that a date can hold; the wire's own limit lies far beyond.
LAST_EPOCH = 253_402_300_799_999


class Body(BaseModel):
    """The root of all bodies: camelCase outside, snake_case inside."""

    model_config = ConfigDict(
        strict=True, extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=False
    )


def _whole(value: Any) -> Any:
    """JSON has one sort of number: 5.0 is 5."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _without_nul(text: str) -> str:
    return text.replace("\0", "\ufffd")


def storable(text: str) -> str:
    """A name as it is given. Raises for one that the database cannot take."""
    if "\0" in text:
        raise PydanticCustomError("nul", "must not contain NUL")
    return text


Whole = Annotated[int, BeforeValidator(_whole)]
Epoch = Annotated[Whole, Field(ge=0, le=LAST_EPOCH)]
# Free text is cleaned; a name that is not the same afterwards would be another's.
Text = Annotated[str, Field(min_length=1), AfterValidator(_without_nul)]
Name = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(storable)]
ShortName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(storable)]
# A name that may be left empty, which older clients send for none.
Word = Annotated[str, Field(max_length=500), AfterValidator(storable)]
Metadata = dict[str, Any]
