"""The commands of docs/runbooks.md, typed at a running system."""

import asyncio
import re
import shlex
import subprocess

import pytest

from tests.support.system import RealSystem
from tests.support.variants import ONE
from toolchain.runfile import ROOT

pytestmark = [pytest.mark.system, ONE]

COMMANDS = sorted(
    set(
        re.findall(
            r"`((?:curl|\.venv/bin/python) [^`]+)`",
            (ROOT / "docs" / "runbooks.md").read_text(),
        )
    )
)


async def test_each_command_of_the_runbooks_works(system: RealSystem) -> None:
    assert len(COMMANDS) >= 5
    for command in COMMANDS:
        ran = await asyncio.to_thread(_run, command, system)

        assert ran.returncode == 0, f"{command}: {ran.stderr}"
        if command.startswith("curl"):
            assert ran.stdout.startswith("{"), command


def _run(command: str, system: RealSystem) -> "subprocess.CompletedProcess[str]":
    def moved(found: re.Match[str]) -> str:
        return f"127.0.0.1:{int(found[1]) + system.system.offset}"

    return subprocess.run(
        shlex.split(re.sub(r"127\.0\.0\.1:(\d+)", moved, command)),
        cwd=ROOT,
        env=system.apps["notification"].environment,
        capture_output=True,
        text=True,
        check=False,
    )
