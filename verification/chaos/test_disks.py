"""A small disk can be filled to its last byte, and be given room again."""

import errno
from pathlib import Path

import pytest

from verification.chaos import disks


@pytest.fixture(autouse=True)
def may_mount() -> None:
    """Skip where this user may mount nothing."""
    if not disks.can_be_mounted():
        pytest.skip("this user may mount no disk")


def test_a_full_disk_takes_nothing_until_there_is_room_again(tmp_path: Path) -> None:
    with disks.mounted(tmp_path, disks.LEAST):
        disks.fill(tmp_path)
        with pytest.raises(OSError, match="No space left") as refused:
            (tmp_path / "more").write_bytes(b"x")
        assert refused.value.errno == errno.ENOSPC

        disks.empty(tmp_path)
        (tmp_path / "more").write_bytes(b"x")

    assert list(tmp_path.iterdir()) == []


def test_a_disk_has_room_for_the_orders_that_are_to_come(tmp_path: Path) -> None:
    with disks.mounted(tmp_path, disks.size_for(10_000)):
        (tmp_path / "orders").write_bytes(bytes(10_000 * 10 * 1024))
