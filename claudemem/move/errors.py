"""What can stop a move. Each message is a sentence that says what to do."""


class MoveFailed(Exception):
    """Nothing was moved: source or target are not fit for it, or were disturbed."""
