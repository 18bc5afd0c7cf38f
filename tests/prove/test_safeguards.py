"""The list of safeguards does not rot: each is in the code once, and the code compiles without it."""

from operator import attrgetter

import pytest

from tests.prove.safeguard import ROOT, Safeguard
from tests.prove.safeguards import SAFEGUARDS


@pytest.mark.parametrize("safeguard", SAFEGUARDS, ids=attrgetter("name"))
def test_a_safeguard_can_be_removed(safeguard: Safeguard) -> None:
    text = safeguard.removed()

    if safeguard.file.endswith(".py"):
        compile(text, safeguard.file, "exec")
    assert all((ROOT / each.partition("::")[0]).is_file() for each in safeguard.tests)


def test_each_safeguard_has_a_name_of_its_own() -> None:
    assert len({each.name for each in SAFEGUARDS}) == len(SAFEGUARDS)
