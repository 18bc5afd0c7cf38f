"""The command line of dead letters: what cannot be meant is said, and nothing is done."""

import subprocess
import sys
from pathlib import Path

import pytest

from chassis.dead_letters.options import read
from tests.support.sockets import closed_port

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "SERVICE"),
        (["notification"], "list|show|replay|discard"),
        (["a/b", "list"], "'a/b' is no app-id"),
        (["notification", "remove"], "invalid choice: 'remove'"),
        (["notification", "list", "--state", "GONE"], "invalid choice: 'GONE'"),
        (["notification", "list", "--limit", "0"], "'0' is no number from 1 on"),
        (["notification", "show"], "ID"),
        (["notification", "show", "x"], "'x' is no number from 1 on"),
        (["notification", "show", str(2**63)], "is no number from 1 on"),
        (["notification", "replay"], "by their ids, or say --all"),
        (["notification", "replay", "1", "--all"], "by their ids, or say --all"),
        (["notification", "replay", "1", "--reaction", "x"], "among --all"),
        (["notification", "replay", "1", "--rate", "0"], "'0' is no number of letters"),
        (["notification", "replay", "1", "--rate", "nan"], "'nan' is no number"),
        (["notification", "discard", "1"], "--because"),
        (["notification", "discard", "--because", "x"], "ID"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_meant_is_said(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        read(arguments)

    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_sidecar_that_is_not_there_is_one_line() -> None:
    port = str(closed_port())

    ended = subprocess.run(
        [sys.executable, "-m", "chassis.dead_letters", "notification", "list"],
        cwd=ROOT,
        env={"DAPR_HTTP_PORT": port},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (75, "")
    assert ended.stderr == f"Nothing answers at 127.0.0.1:{port} (ConnectError).\n"
