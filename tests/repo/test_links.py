from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.repo import markdown, tree


@pytest.mark.parametrize("page", tree.texts(".md"), ids=tree.name)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    broken = [link for link in markdown.links(page) if not _resolves(page, link)]
    assert not broken, f"{tree.name(page)}: these lead nowhere: {broken}"


def test_the_check_notices_a_link_to_nothing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A heading: `code`\n\n[a](#a-heading-code) [b](#b) [c](other.md) [d](https://example.org)\n"
    )
    assert [link for link in markdown.links(page) if not _resolves(page, link)] == ["#b", "other.md"]


def _resolves(page: Path, link: str) -> bool:
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme in {"https", "mailto"} and bool(parts.netloc or parts.path)
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if not target.exists():
        return False
    return not parts.fragment or target.suffix != ".md" or parts.fragment in markdown.anchors(target)
