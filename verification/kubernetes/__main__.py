"""Runs the system on a Kubernetes of its own under faults: python -m verification.kubernetes --orders 1000."""

import argparse
import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from toolchain import containers
from toolchain.cluster import node
from toolchain.cluster.programs import FOR_NODE, HELM
from toolchain.dapr import build
from toolchain.machine import Machine, apt, failure, find, terminal, this_machine
from toolchain.machine.failure import Failure
from toolchain.supervise.locks import alone, remove
from verification.kubernetes import images
from verification.kubernetes.proof import IMAGES, prove

INSIDE = "--inside"
NEEDED = ("unshare", "mount", "ip", "iptables", "openssl")


def main() -> None:
    """Make ready what needs the network, then run the proof in namespaces of its own, and remove all of it."""
    options = _arguments()
    # The packet filter, and what mounts, are where an administrator alone looks.
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    machine = this_machine()
    if options.inside:
        if not asyncio.run(prove(machine, options.inside, options.orders)):
            sys.exit(1)
        return
    _check()
    with alone(machine.cache / "cluster.lock", _wait):
        folder = machine.cache / "cluster"
        node.end(folder)
        folder.mkdir(parents=True)
        try:
            _make_ready(machine, folder)
            _isolate(folder, options.orders)
        finally:
            node.end(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="verification.kubernetes", description=__doc__
    )
    parser.add_argument("--orders", type=int, default=1000)
    parser.add_argument(INSIDE, type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _check() -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, NEEDED)):
        why = f"It takes root, and {', '.join(NEEDED)}: namespaces, mounts and the network of pods are its own."
        raise Failure("No cluster can be made here", why, "Run it as root on Linux.")


def _wait() -> None:
    terminal.busy("cluster", "another one runs on this machine: waiting for its end")


def _make_ready(machine: Machine, folder: Path) -> None:
    if not find(machine, "containerd"):
        apt.provide(machine, "containerd", "containerd", "install it yourself")
    if not node.PLUGINS.is_dir():
        package = "containernetworking-plugins"
        apt.provide(machine, package, "bridge for pods", "install it yourself")
    if not find(machine, "ipset"):
        apt.provide(machine, "ipset", "ipset", "install it yourself")
    for program in (*FOR_NODE, HELM):
        build.provide(machine, program)
    with containers.running(machine) as engine:
        images.save(machine, engine, folder / IMAGES)


def _isolate(folder: Path, orders: int) -> None:
    again = [
        sys.executable,
        "-m",
        "verification.kubernetes",
        INSIDE,
        str(folder),
        f"--orders={orders}",
    ]
    # Nothing of a cluster is behind a proxy.
    environment = {**os.environ, "NO_PROXY": "*"}
    done = subprocess.run(node.isolated(again), env=environment, check=False)
    if done.returncode:
        evidence = folder.with_name("cluster-evidence")
        remove(evidence)
        shutil.rmtree(folder / "lib", ignore_errors=True)
        skipped = shutil.ignore_patterns("run")
        shutil.copytree(folder, evidence, symlinks=True, ignore=skipped)
        why = f"What it says is above; the logs of all parts are in {evidence}."
        raise Failure("The proof failed", why, "Look for the first error there.")


if __name__ == "__main__":
    # `kill` ends it as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(failure.exit_status(main))
