"""Prometheus is installed for the tests where that needs no password, and its absence stops nobody."""

from pathlib import Path

import pytest

from tests.toolchain.stand_ins import bare_machine, calls, debian
from toolchain.servers import prometheus


def test_where_nothing_can_be_installed_a_warning_says_what_is_not_tested(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prometheus.prepare(bare_machine(tmp_path))

    assert "the alert rules are not tested" in "".join(capsys.readouterr())


def test_it_comes_with_the_distributions_package(tmp_path: Path) -> None:
    debian(tmp_path, "true")

    prometheus.prepare(bare_machine(tmp_path))

    assert calls(tmp_path, "apt-get")[-1].endswith(
        "install --yes --no-install-recommends prometheus"
    )
