"""What a start lacks is said while it lasts."""

import subprocess
from pathlib import Path

import pytest

from toolchain import run
from toolchain.run import Provided
from toolchain.runfile import System
from toolchain.servers.broker import Broker


def test_a_start_that_takes_long_says_what_it_waits_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "SAYS_EVERY", 0.1)
    monkeypatch.setattr(run, "READY_WITHIN", 0.5)
    monkeypatch.setattr(run, "missing", lambda *_: "RabbitMQ keeps no OrderCreated")
    parts = Provided(Broker("none", "-"), [])
    with subprocess.Popen(["sleep", "600"]) as cli:
        run._wait_until_ready(cli, System({"apps": []}, tmp_path), parts)
        cli.kill()

    said = capsys.readouterr().out
    assert "services  not ready yet: RabbitMQ keeps no OrderCreated\n" in said
    assert "not ready after 0 s: RabbitMQ keeps no OrderCreated" in said
    assert "that it works is said here" in said
