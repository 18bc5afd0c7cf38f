"""A machine to set up that is only a folder: stand-in programs on its PATH, and no others."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from toolchain.dapr import golang
from toolchain.machine import Machine

CLONE = Path(__file__).parent.parent.parent
TOOLS = (
    "cat",
    "chmod",
    "cp",
    "grep",
    "mkdir",
    "mkfifo",
    "mv",
    "rm",
    "setpriv",
    "sleep",
    "touch",
)


def bare_machine(folder: Path, **variables: str) -> Machine:
    """A machine with the clone's Go modules and nothing on the PATH that set-up could use."""
    root, tools = folder / "clone", folder / "tools"
    for name in ("dapr/cli", "dapr/runtime", "servers/kafka"):
        shutil.copytree(CLONE / "toolchain" / name, root / "toolchain" / name)
    shutil.copy(CLONE / golang.REQUIREMENTS, root / golang.REQUIREMENTS)
    (root / "requirements-dev.txt").write_text("one==1\ntwo==2\n")
    (root / ".venv" / "bin").mkdir(parents=True)
    (folder / "home").mkdir()
    tools.mkdir()
    for tool in filter(shutil.which, TOOLS):
        (tools / tool).symlink_to(shutil.which(tool) or "")
    path = f"{folder / 'programs'}:{tools}"
    environment = {"PATH": path, "HOME": str(folder / "home"), "RECORD": str(folder)}
    return Machine(root, {**environment, **variables}, folder / "system")


def stand_in(folder: Path, name: str, script: str) -> Path:
    """A program on the machine's PATH; it notes its arguments, then does what the script says."""
    return program(
        folder / "programs" / name, f'echo "$@" >>"$RECORD/{name}.calls"\n{script}'
    )


def debian(folder: Path, installation: str = "true") -> None:
    """A Debian whose apt-get does as the script says, with what installing needs beside it."""
    stand_in(folder, "apt-get", installation)
    stand_in(folder, "sudo", 'shift; exec "$@"')
    for name in ("dpkg", "systemctl"):
        stand_in(folder, name, "true")
    (folder / "system" / "usr" / "sbin").mkdir(parents=True)


def program(path: Path, script: str) -> Path:
    """A shell script that can be executed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def calls(folder: Path, name: str) -> list[str]:
    """With what a stand-in was called, one line a call."""
    record = folder / f"{name}.calls"
    return record.read_text().splitlines() if record.exists() else []


def go_that(folder: Path, ending: str, version: str = "1.26.8") -> Path:
    """A Go that writes a program of Dapr's where it is told, and ends as the script says."""
    return stand_in(
        folder,
        "go",
        f'[ "$1" = version ] && echo "go version go{version} linux/amd64" && exit\n'
        'while [ "$1" != -o ]; do shift; done\n'
        'echo "#!/bin/sh" >"$2" && chmod +x "$2"\n' + ending,
    )


GOOD_ENDING = 'case "$2" in *daprd*) echo "echo 1.18.2" ;; *) echo "echo CLI version: 1.16.5" ;; esac >>"$2"'


def python_that_works(folder: Path) -> Path:
    """A Python that makes a virtual environment of stand-ins, whose pip notes what it was asked."""
    inner = 'echo "$@" >>"$RECORD/pip.calls"'
    return stand_in(
        folder,
        "python3",
        'while [ $# -gt 1 ]; do shift; done\nrm -rf "$1"; mkdir -p "$1/bin"\n'
        f"echo '#!/bin/sh' >\"$1/bin/python\"; echo '{inner}' >>\"$1/bin/python\"\n"
        'chmod +x "$1/bin/python"',
    )


def elsewhere(work: str, machine: Machine) -> subprocess.Popen[str]:
    """Another Python process that does some of set-up's work on the machine, as the command line would."""
    arguments = [str(machine.root), str(machine.system), machine.environment["PATH"]]
    script = (
        "import signal, sys; from pathlib import Path\n"
        "from toolchain.dapr import build, programs\n"
        "from toolchain.machine import Machine, failure\n"
        "from toolchain.servers import kafka_jars, postgresql_cluster, rabbitmq_node\n"
        "from toolchain.servers.postgresql_cluster import Cluster\n"
        "from toolchain.supervise import server\n"
        "root, system = map(Path, sys.argv[1:3]); folder = root.parent\n"
        "environment = {'PATH': sys.argv[3], 'HOME': str(folder / 'home'), 'RECORD': str(folder)}\n"
        "machine = Machine(root, environment, system)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"sys.exit(failure.exit_status(lambda: {work}))\n"
    )
    return subprocess.Popen(
        [sys.executable, "-u", "-c", script, *arguments],
        cwd=CLONE,
        stdout=subprocess.PIPE,
        text=True,
    )


def processes_of(folder: Path) -> list[str]:
    """What runs that has this folder in its environment, by name."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            if str(folder).encode() in (process / "environ").read_bytes():
                found.append((process / "comm").read_text().strip())
    return found


def until(condition: Callable[[], object], within: float = 60) -> None:
    """Return as soon as the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
