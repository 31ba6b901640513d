"""Imports that other people's modules make, and hardly anybody needs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


class _PutOff(ModuleType):
    """A module in the place of another, which is imported with the first that is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """What is imported within this block does not import the module `name`, but when it is used.

    Only `import name` is put off, and not `from name import`, which asks something of it at once.
    Outside of the block nothing is changed.
    """
    if name in sys.modules:
        yield
        return
    sys.modules[name] = _PutOff(name)
    try:
        yield
    finally:
        if isinstance(sys.modules.get(name), _PutOff):
            del sys.modules[name]
