"""A system of a test, of chaos, of the playground and of the alerts is one of its own."""

from pathlib import Path

import pytest

from tests.support.system import SECRETS, build


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_no_part_of_it_has_the_secrets_of_another_system_of_this_shell(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "another-systems")

    real = build(tmp_path)

    parts = [*real.sidecars.values(), *real.apps.values()]
    assert len(parts) == 4
    assert not [each for each in parts if name in each.environment]
