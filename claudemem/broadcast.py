"""How the stream of live events fares in this process, for whoever asks after its health."""

from dataclasses import dataclass


@dataclass(slots=True)
class Broadcast:
    """`listeners` have it open; it is `behind` so many seconds; `away` says why it cannot go on."""

    listeners: int = 0
    behind: float = 0.0
    away: str = ""


here = Broadcast()
