"""What `make release` does about the images where no engine can run."""

from pathlib import Path

import pytest

from tests.toolchain.stand_ins import bare_machine, debian, stand_in
from toolchain import images


def test_without_an_engine_a_release_warns_that_its_images_have_no_bill(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As root it would start one, which cannot be installed here; as anybody else it needs one that runs."""
    debian(tmp_path, "exit 1")
    stand_in(tmp_path, "docker", "exit 1")

    images.write_bills(bare_machine(tmp_path))

    assert "of the images: NOT WRITTEN" in capsys.readouterr().out
