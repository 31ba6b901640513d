"""Whoever follows a link arrives."""

import re
from pathlib import Path

import pytest

from tests.docs import pages

pytestmark = pytest.mark.once

RECORDS = sorted((pages.ROOT / "docs" / "decisions").glob("0*.md"))


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in pages.links(page):
        if not re.match(r"\w+:", link):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), link
            assert not anchor or anchor in pages.anchors(target), link


@pytest.mark.parametrize("record", RECORDS, ids=pages.name)
def test_every_decision_record_is_in_the_index_under_its_number(record: Path) -> None:
    index = (record.parent / "README.md").read_text()

    assert f"[{record.name[:4]}]({record.name})" in index


def test_every_page_can_be_reached_from_the_readme() -> None:
    start = pages.ROOT / "README.md"
    reached, waiting = {start}, [start]
    while waiting:
        page = waiting.pop()
        targets = {(page.parent / link.partition("#")[0]).resolve() for link in pages.links(page)}
        # A link to a folder shows what is in it.
        targets |= {each for folder in targets for each in folder.glob("*.md")}
        fresh = {each for each in targets if each.suffix == ".md" and each.exists()} - reached
        reached |= fresh
        waiting += fresh

    assert set(pages.PAGES) - reached == set()
