"""Text of others, made fit for a line on a terminal. Pure."""


def plain(text: object) -> str:
    """`text` in one line: what would move a cursor, ring a bell or change colours is a space.

    Reasons come from providers, workers and whoever paused something, names from agents.
    """
    return "".join(letter if letter.isprintable() else " " for letter in str(text))
