"""How much is logged, and by whom. Pure."""

from typing import Any

# claude-mem, which may have written the settings file, has other words for two of them.
_OF_CLAUDE_MEM = {"WARN": "WARNING", "SILENT": "CRITICAL"}
WORDS = ("DEBUG", "INFO", "WARNING", "ERROR", *_OF_CLAUDE_MEM)


def understood(word: str) -> str:
    """The level that one of WORDS means, in Python's own word."""
    return _OF_CLAUDE_MEM.get(word, word)


def configuration(level: str) -> dict[str, Any]:
    """The configuration of logging: all to standard error, from `level` on.

    Libraries that tell of each request or message are heard from a higher level on.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "celery": {"level": "WARNING"},
            "httpx": {"level": "WARNING"},
            "httpx2": {"level": "WARNING"},
            "mcp": {"level": "WARNING"},
            "openai": {"level": "WARNING"},
            "tornado.access": {"level": "WARNING"},
            "celery.app.trace": {"level": "ERROR"},
            "celery.worker.strategy": {"level": "WARNING"},
            "django.request": {"level": "ERROR"},
        },
    }
