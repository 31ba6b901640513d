"""Query strings: read by a shape, as bodies are. What is not understood is refused by its name."""

from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar, get_origin

from django.http import HttpRequest
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from claudemem.api.answers import from_epoch
from claudemem.api.shapes import LAST_EPOCH, storable
from observations.errors import InvalidInput

Q = TypeVar("Q", bound="Query")

# So many values of one filter, of which any will do.
MOST_VALUES = 20


class Query(BaseModel):
    """The root of all query strings: camelCase outside, unknown names are dropped."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, alias_generator=to_camel, populate_by_name=False
    )


def read(request: HttpRequest, shape: type[Q]) -> Q:
    """The query string as `shape`. An empty value counts as none.

    Raises InvalidInput for a name that is given twice but takes one value, and pydantic's
    ValidationError.
    """
    given: dict[str, Any] = {}
    for name, field in shape.model_fields.items():
        alias = field.alias or name
        values = [value for value in request.GET.getlist(alias) if value]
        if get_origin(field.annotation) is tuple:
            given[alias] = tuple(values)
        elif len(values) > 1:
            raise InvalidInput("expected once", (alias,))
        elif values:
            given[alias] = values[0]
    return shape.model_validate(given)


def _moment(value: Any) -> Any:
    """Milliseconds since 1970, a day, or an ISO 8601 time; without a zone it is UTC."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return value
    if value.isascii() and value.isdigit() and len(value) <= len(str(LAST_EPOCH)):
        if int(value) > LAST_EPOCH:
            raise ValueError("lies too far ahead")
        return from_epoch(int(value))
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        raise ValueError("lies too far away") from None


def _flag(value: Any) -> Any:
    if value not in ("true", "false"):
        raise ValueError("expected true or false")
    return value == "true"


Flag = Annotated[bool, BeforeValidator(_flag)]
Filter = Annotated[str, Field(max_length=500), AfterValidator(storable)]
Filters = Annotated[tuple[Filter, ...], Field(max_length=MOST_VALUES)]
When = Annotated[
    datetime,
    BeforeValidator(_moment),
    Field(
        description="A day, an ISO 8601 time, or milliseconds since 1970", examples=["2026-01-31"]
    ),
]
