"""Links in the documents lead somewhere; examples leave nothing out."""

import re
from pathlib import Path

import pytest

from service.api import credentials

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(path for pattern in ("*.md", "docs/*.md", "lua/*.md", "bench/*.md") for path in ROOT.glob(pattern))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_of_this_repository(path: Path):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text())
    missing = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_headings(path: Path):
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", path.read_text())
    missing = [(link, anchor) for link, anchor in links if anchor not in anchors((path.parent / link) if link else path)]
    assert missing == []


def anchors(path: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_example_for_nginx_keeps_virtual_keys_from_the_provider():
    example = (ROOT / "docs" / "enforcement.md").read_text()
    kept = [name for name in ("x-bf-vk", *credentials._KEY_HEADERS) if f'proxy_set_header {name} "";' in example]
    assert kept == ["x-bf-vk", *credentials._KEY_HEADERS]
