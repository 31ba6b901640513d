"""Numbers in JSON columns, read as they were sent. Pure."""

import json
from typing import Any


class Decoder(json.JSONDecoder):
    """JSON with the numbers that were sent.

    PostgreSQL writes out all digits of a large float, which would be read as an integer larger
    than any client can take.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(parse_int=_whole, **options)


def _whole(digits: str) -> int | float:
    if len(digits) > len(str(-(2**63))):
        return float(digits)
    number = int(digits)
    return number if -(2**63) <= number < 2**64 else float(digits)
