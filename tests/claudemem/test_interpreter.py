"""How the interpreter is set up for a process of ours."""

import gc

import pytest

from claudemem.interpreter import loading

pytestmark = pytest.mark.once


def test_nothing_is_looked_through_while_a_process_loads_nor_what_it_has_loaded() -> None:
    before = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        loaded = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(loaded)


def test_a_load_that_fails_leaves_the_garbage_looked_for() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()
