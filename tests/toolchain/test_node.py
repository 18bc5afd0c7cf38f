"""A node of Kubernetes: it is made in namespaces of its own alone, and nothing of it is left."""

from pathlib import Path

import pytest

from toolchain.cluster import node
from toolchain.machine import this_machine
from toolchain.machine.failure import Failure


def test_it_is_made_in_namespaces_of_its_own_alone(tmp_path: Path) -> None:
    """What it mounts, and whom it kills at the end, would be the whole machine's."""
    with pytest.raises(Failure) as raised, node.running(this_machine(), tmp_path):
        pass

    assert "namespaces of its own" in raised.value.why
    assert not list(tmp_path.iterdir())


def test_nothing_of_it_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hierarchies, folder = tmp_path / "groups", tmp_path / "cluster"
    monkeypatch.setattr(node, "HIERARCHIES", hierarchies)
    for hierarchy in ("cpu", "memory"):
        (hierarchies / hierarchy / node.GROUP / "kubepods" / "pod").mkdir(parents=True)
        (hierarchies / hierarchy / "docker").mkdir()
    (folder / "lib").mkdir(parents=True)

    node.end(folder)

    assert not folder.exists()
    assert {each.name for each in hierarchies.glob("*/*")} == {"docker"}
