"""The command line of groups: it prints how far the service is; the documented commands are commands."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chassis.dead_letters import Runner
from chassis.dead_letters.__main__ import parse
from tests.chassis.dead_letters.letters import Letters
from tests.chassis.dead_letters.running import fails_for, fingerprint, kept
from tests.chassis.dead_letters.test_command_line import states, typed

OPERATIONS = Path(__file__).parents[3] / "docs/operations.md"
COMMAND = re.compile(r"^\.venv/bin/python -m chassis\.dead_letters (.+)$", re.M)
WHY = ("--because", "The bug is mended", "--by", "jane")
Captured = pytest.CaptureFixture[str]


@pytest.fixture
async def running(letters: Letters) -> AsyncIterator[Letters]:
    """Run the loop of the service."""
    loop = Runner(letters.store).loop()
    task = asyncio.create_task(loop.run())
    yield letters
    await loop.stop(task)


async def test_a_canary_is_printed_until_its_end(
    running: Letters, capsys: Captured
) -> None:
    await kept(running, 3)
    group = await fingerprint(running)

    assert await typed(running, "groups") == 0
    assert await typed(running, "canary", group, *WHY, "--rate=1000") == 0
    assert await typed(running, "watch", "1") == 0
    assert await typed(running, "letters", "1") == 0

    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith(f"{group}  3 open  ")
    assert "run 1  DONE  3 done, 0 failed: Every letter was tried." in printed
    assert sum("REPLAYED  handled  The bug is mended" in each for each in printed) == 3
    assert await states(running) == ["REPLAYED"] * 3


async def test_a_canary_that_halts_is_status_1_and_nothing_goes_on(
    running: Letters, capsys: Captured
) -> None:
    await kept(running, 3)
    fails_for(running, lambda _: True)
    group = await fingerprint(running)

    assert await typed(running, "canary", group, *WHY, "--rate=1000") == 1
    assert await typed(running, "canary", group, *WHY, "--dry-run", "--rate=1000") == 1
    assert await typed(running, "stop", "1", *WHY) == 1

    captured = capsys.readouterr()
    assert "run 1  HALTED  0 done, 0 failed: 1 of 1 letters failed in" in captured.out
    assert "run 2  DONE  0 done, 3 failed: Every letter was tried." in captured.out
    assert captured.err == "Run 1 is HALTED.\n"


async def test_a_group_is_discarded_and_restored(
    running: Letters, capsys: Captured
) -> None:
    await kept(running, 2)
    group = await fingerprint(running)

    assert await typed(running, "discard", "--group", group, *WHY) == 0
    assert await states(running) == ["DISCARDED"] * 2
    assert await typed(running, "restore", "1", *WHY) == 0
    assert await typed(running, "restore", "--group", group, *WHY) == 0

    assert await states(running) == ["OPEN"] * 2
    assert await typed(running, "history", "1") == 0
    newest, oldest = capsys.readouterr().out.splitlines()[-2:]
    assert "jane  RESTORED  The bug is mended" in newest
    assert "jane  DISCARDED  The bug is mended" in oldest


async def test_a_letter_is_edited_from_a_file_and_reverted(
    letters: Letters, tmp_path: Path, capsys: Captured
) -> None:
    await kept(letters, 1)
    data = json.loads((await letters.shown(1))["body"])["data"]
    file = tmp_path / "data.json"

    for name, status in (("Ada", 0), ("", 1)):
        file.write_text(json.dumps({**data, "customerName": name}))
        assert await typed(letters, "edit", "1", "--data", str(file), *WHY) == status
    assert "Ada" in (await letters.shown(1))["edited"]
    assert await typed(letters, "edit", "1", "--revert", *WHY) == 0

    assert (await letters.shown(1))["edited"] is None
    assert "data.customerName: String should have at least" in capsys.readouterr().err


def test_each_documented_command_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data.json").write_text("{}")
    commands = COMMAND.findall(OPERATIONS.read_text())

    assert len(commands) > 10
    for each in commands:
        words = re.findall(r'"[^"]*"|\S+', each)
        assert parse([word.strip('"') for word in words]).act
