"""The glossary holds every word that a reader has to learn, and they are few."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MOST = 45


def test_the_glossary_has_at_most_forty_five_words() -> None:
    rows = re.findall(
        r"^\| (?!word here|---)(.+?) \|", (ROOT / "docs/glossary.md").read_text(), re.M
    )

    assert 30 < len(rows) <= MOST
    assert len(set(rows)) == len(rows)
