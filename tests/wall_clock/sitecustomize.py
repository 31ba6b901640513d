"""Python's wall clock, as far off the real one as a file says at the moment."""

import ctypes
import gc
import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

_FILE = Path(os.environ["TEST_WALL_CLOCK"])
_real_time, _real_now, _real_ns = time.time, datetime.now, time.time_ns
_real_gmtime, _real_localtime, _real_strftime = time.gmtime, time.localtime, time.strftime


def _off() -> float:
    return float(_FILE.read_text())


def _now(cls: type[datetime], tz: tzinfo | None = None) -> datetime:
    return _real_now(tz) + timedelta(seconds=_off())


def _since(real: Callable[[float], Any]) -> Callable[..., Any]:
    return lambda seconds=None: real(time.time() if seconds is None else seconds)


time.time = lambda: _real_time() + _off()
time.time_ns = lambda: _real_ns() + round(_off() * 1e9)
time.gmtime, time.localtime = _since(_real_gmtime), _since(_real_localtime)
time.strftime = lambda form, at=None: _real_strftime(form, at or time.localtime())
# A type of C's has no attributes that can be set, but the table in which they are.
_table = gc.get_referents(datetime.__dict__)[0]
_table["now"] = classmethod(_now)
_table["utcnow"] = classmethod(lambda cls: _now(cls))
ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))
