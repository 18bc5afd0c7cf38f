"""Debian packages without their services: `python3 -m toolchain.machine.apt PACKAGE POLICY`, as root."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from toolchain.machine import Machine, find, processes, say
from toolchain.machine.failure import Failure

POLICY = "usr/sbin/policy-rc.d"
OURS = "#!/bin/sh\n# orders-on-dapr: no service is started while its set-up installs a package.\nexit 101\n"
UNITS = {
    "rabbitmq-server": ("rabbitmq-server.service",),
    "erlang-base": ("epmd.service", "epmd.socket"),
    "redis-server": ("redis-server.service",),
}
CLUSTERS = "etc/postgresql-common/createcluster.d/orders-on-dapr.conf"
"""What each package would have the system start."""
COMES_WITH = {"rabbitmq-server": ("erlang-base",)}
"""The packages with units that come with another."""


@dataclass(frozen=True)
class Packages:
    """The environment that apt runs in, and the file that says whether services may start."""

    environment: Mapping[str, str]
    policy: Path


def available(machine: Machine) -> bool:
    """Whether packages can be installed here without asking anybody."""
    return find(machine, "apt-get") is not None and _become_root(machine) is not None


def policy_of(machine: Machine) -> Path:
    """The file that tells Debian's maintainer scripts whether they may start services."""
    return machine.system / POLICY


def unfinished(policy: Path) -> bool:
    """Whether an installation of ours was cut off hard, and left its mark."""
    return _kept(policy).exists() or _is_ours(policy)


def install(machine: Machine, package: str, minutes: int) -> None:
    """Install a package as root, never cut short: a half-configured package would be worse."""
    task = _as_root(machine, package)
    say.busy(
        "apt-get",
        f"{package} is installed: once, about {minutes} min; no service is started",
    )
    if processes.carry_out(task, _say_progress, when_stopped=_let_it_finish):
        raise Failure(
            f"The package {package} could not be installed",
            processes.tail(task.log),
            "Most often the network is the reason, or another program that installs packages just now.\n"
            f"Run it again, or type: sudo apt-get install {package}\nAll that apt said: {task.log}",
        )


def install_as_root(packages: Packages, package: str) -> int:
    """Install the package while no service may start, now or at the next boot."""
    new = _units_to_disable(packages, package)
    clusters = no_cluster_made(packages) if package == "postgresql" else nullcontext()
    with services_forbidden(packages, new), clusters:
        # What an interrupted dpkg left would make every installation fail.
        _run(packages, "dpkg", "--configure", "-a")
        code = _apt_install(packages, package)
        _disable(packages, new)
    return code


@contextmanager
def services_forbidden(
    packages: Packages, units: tuple[str, ...] = ()
) -> Iterator[None]:
    """Forbid starts by a policy of ours, and bring the earlier one back, or none if there was none."""
    restore(packages.policy)
    if packages.policy.exists():
        packages.policy.rename(_kept(packages.policy))
    half = packages.policy.with_name("policy-rc.d.new")
    half.write_text(OURS + f"# {' '.join(units)}\n")
    half.chmod(0o755)
    half.rename(packages.policy)
    try:
        yield
    finally:
        restore(packages.policy)


@contextmanager
def no_cluster_made(packages: Packages) -> Iterator[None]:
    """Keep PostgreSQL's package from making a cluster, which its service would run from the next boot on."""
    note = packages.policy.parents[2] / CLUSTERS
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        note.unlink()
        with suppress(OSError):  # PostgreSQL's own settings lie there by now
            for folder in (note.parent, note.parent.parent):
                folder.rmdir()


def restore(policy: Path) -> None:
    """Bring the policy back that was there before ours; do nothing where ours is not in place."""
    if _kept(policy).exists():
        _kept(policy).rename(policy)
    elif _is_ours(policy):
        policy.unlink()


def _become_root(machine: Machine) -> tuple[str, ...] | None:
    if os.geteuid() == 0:
        return ()
    sudo = find(machine, "sudo")
    if (
        sudo is None
        or subprocess.run(
            [sudo, "-n", "true"], capture_output=True, check=False
        ).returncode
    ):
        return None
    return (str(sudo), "-n")


def _as_root(machine: Machine, package: str) -> processes.Task:
    ourselves = (
        sys.executable,
        "-B",
        "-m",
        "toolchain.machine.apt",
        package,
        str(policy_of(machine)),
    )
    command = (*(_become_root(machine) or ()), *ourselves)
    log = machine.cache / "logs" / f"apt-{package}.log"
    return processes.Task(command, Path(__file__).parents[2], machine.environment, log)


def _say_progress(elapsed: float) -> None:
    say.busy("apt-get", f"still installing, {processes.duration(elapsed)}")


def _let_it_finish(child: subprocess.Popen[bytes]) -> None:
    say.busy(
        "apt-get", "comes to its end first, so that no package stays half-configured"
    )
    child.wait()


def _kept(policy: Path) -> Path:
    return policy.with_name(policy.name + ".before-orders-on-dapr")


def _is_ours(policy: Path) -> bool:
    return policy.is_file() and policy.read_text(errors="replace").startswith(OURS)


def _units_to_disable(packages: Packages, package: str) -> tuple[str, ...]:
    """The units that come with what is not installed yet, or that an installation cut off hard wrote down."""
    noted = (
        packages.policy.read_text().splitlines()[-1][1:].split()
        if _is_ours(packages.policy)
        else []
    )
    new = [
        unit
        for each in (package, *COMES_WITH.get(package, ()))
        if not _installed(packages, each)
        for unit in UNITS.get(each, ())
    ]
    return tuple(dict.fromkeys([*noted, *new]))


def _installed(packages: Packages, package: str) -> bool:
    command = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    answer = subprocess.run(
        command,
        capture_output=True,
        check=False,
        text=True,
        env=dict(packages.environment),
    )
    return answer.stdout == "installed"


def _apt_install(packages: Packages, package: str) -> int:
    if _run(packages, "apt-cache", "show", "--no-all-versions", package):
        _run(packages, "apt-get", "update")
    apt_get = (
        "apt-get",
        "-o",
        "DPkg::Lock::Timeout=120",
        "install",
        "--yes",
        "--no-install-recommends",
        package,
    )
    # A failure is most often a list that is older than the mirror: one more try with new lists.
    return _run(packages, *apt_get) and (
        _run(packages, "apt-get", "update") or _run(packages, *apt_get)
    )


def _disable(packages: Packages, units: tuple[str, ...]) -> None:
    if shutil.which("systemctl", path=packages.environment.get("PATH", "")):
        for unit in units:
            _run(packages, "systemctl", "disable", unit)


def _run(packages: Packages, *command: str) -> int:
    return subprocess.run(
        command, check=False, env=dict(packages.environment), stdin=subprocess.DEVNULL
    ).returncode


def _environment() -> dict[str, str]:
    # Maintainer scripts need the sbin folders; needrestart (Ubuntu) would restart services of others.
    path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/local/sbin:/usr/sbin:/sbin"
    return {
        **os.environ,
        "PATH": path,
        "DEBIAN_FRONTEND": "noninteractive",
        "NEEDRESTART_SUSPEND": "1",
    }


def main() -> int:
    """Install the package that the command line names, whatever signals come meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    package, policy = sys.argv[1:]
    return install_as_root(Packages(_environment(), Path(policy)), package)


if __name__ == "__main__":
    sys.exit(main())
