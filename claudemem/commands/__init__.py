"""The commands of `claudemem`, one module a subject."""


def load_django() -> None:
    """Make models and settings usable. Called by a command once its options are read."""
    import django

    django.setup()
