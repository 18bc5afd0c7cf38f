"""The programs of the audit, which `make audit` installs in a folder of their own."""

import subprocess
from collections.abc import Collection
from pathlib import Path

FOLDER = ".local/audit"


def run(
    root: Path, program: str, *arguments: str, accepts: Collection[int] = (0,)
) -> str:
    """Return what a program prints; raises CalledProcessError, FileNotFoundError."""
    command = [str(root / FOLDER / "bin" / program), *arguments]
    ended = subprocess.run(
        command, cwd=root, capture_output=True, text=True, check=False
    )
    if ended.returncode not in accepts or not (ended.stdout or ended.returncode == 0):
        raise subprocess.CalledProcessError(
            ended.returncode, program, stderr=ended.stderr
        )
    return ended.stdout
