"""Pictures of the pages: each is shown somewhere, is taken by a test, and is small."""

import re

import pytest

from tests.docs import pages

pytestmark = pytest.mark.once

IMAGES = pages.ROOT / "docs" / "images"
WALKS = pages.ROOT / "tests" / "stack_tests" / "test_browser.py"
LARGEST = 150_000


def test_every_picture_is_on_a_page_and_taken_by_a_test() -> None:
    there = {file.stem for file in IMAGES.glob("*.png")}
    shown = {
        link.rpartition("/")[2].removesuffix(".png")
        for page in pages.PAGES
        for link in pages.links(page)
        if link.endswith(".png")
    }
    taken = set(re.findall(r'picture\(page, "([\w-]+)"', WALKS.read_text()))
    assert there == shown == taken


def test_pictures_are_small() -> None:
    sizes = {file.name: file.stat().st_size for file in IMAGES.glob("*.png")}
    assert {name: size for name, size in sizes.items() if size > LARGEST} == {}
