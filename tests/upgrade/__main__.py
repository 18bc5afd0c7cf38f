"""Keep what this release leaves behind, for the upgrade tests of later ones: python -m tests.upgrade 1.0.0."""

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.upgrade.release import make

if __name__ == "__main__":
    (version,) = sys.argv[1:]
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        sys.exit(f"{version} is no version, such as 1.2.0")
    folder = Path(__file__).parent / version
    if folder.exists():
        sys.exit(f"{folder.name} is kept already; what was released does not change")
    with TemporaryDirectory() as scratch:
        make(folder, Path(scratch))
    sys.stdout.write(f"tests/upgrade/{version}: commit it with the release\n")
