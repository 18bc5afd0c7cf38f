"""Examine any Dapr project: `python -m toolchain.doctor FOLDER`. Nothing of it is run or changed."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from chassis.flaws import numbers
from toolchain.doctor import command
from toolchain.doctor.command import COULD_NOT_RUN
from toolchain.doctor.project import read_folder
from toolchain.machine import terminal, this_machine


def _version(text: str) -> str:
    try:
        numbers(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text} is no version such as 1.18.5"
        ) from None
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is wrong in a folder; return the exit status."""
    parser = command.options(__doc__)
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="the project's folder"
    )
    parser.add_argument(
        "--daprd",
        metavar="VERSION",
        type=_version,
        help="judge for this version of daprd, such as 1.18.5",
    )
    chosen = parser.parse_args(arguments)
    if not chosen.folder.is_dir():
        terminal.failed(
            f"{chosen.folder} is no folder",
            "It cannot be examined.",
            "Name the project's folder.",
        )
        return COULD_NOT_RUN
    project = read_folder(chosen.folder)
    if not project.resources and not project.run_files:
        terminal.failed(
            f"{chosen.folder} holds nothing of Dapr's",
            "There is no run file (dapr.yaml), and no YAML with `apiVersion: dapr.io/…`.",
            "Name the project's folder.",
        )
        return COULD_NOT_RUN
    return command.examine(project, this_machine(), chosen)


if __name__ == "__main__":
    sys.exit(main())
