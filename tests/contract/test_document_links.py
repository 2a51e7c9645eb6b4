"""Links of the documentation lead somewhere: to a file that there is, and to a heading that it has."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")])
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)


def anchors(page: str) -> set[str]:
    """What GitHub makes of the headings of a page; of two with the same words the second one ends with -1."""
    found: dict[str, int] = {}
    for heading in HEADING.findall(FENCE.sub("", page)):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        anchor = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        found[anchor] = found.get(anchor, -1) + 1
    return {f"{anchor}-{n}" if n else anchor for anchor, last in found.items() for n in range(last + 1)}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere; those to other places are not looked at."""
    found = []
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue
        target = page.parent / path if path else page
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target.read_text("utf-8"))
        ):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file_and_to_a_heading_that_there_are(page: Path) -> None:
    assert broken(page) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# Ses & söz: `a_b`\n# Twice\n# Twice\n```\n# no heading\n```\n", "utf-8")
    here = tmp_path / "a.md"
    good = "[a](b.md) [a](#here) [a](b.md#ses--söz-a_b) [a](b.md#twice-1) [a](https://a.example/#x)"
    here.write_text(f"# Here\n{good}\n[a](c.md) [a](b.md#no-heading) [a](#there)\n", "utf-8")
    assert broken(here) == ["c.md", "b.md#no-heading", "#there"]
