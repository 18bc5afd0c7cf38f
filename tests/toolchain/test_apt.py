"""Installing a package without its service: what forbids starts is there meanwhile, and only then."""

from pathlib import Path

import pytest

from tests.toolchain.stand_ins import bare_machine, calls, debian, stand_in
from toolchain.machine import Machine, apt
from toolchain.machine.failure import Failure

EARLIER = "#!/bin/sh\n# The administrator's own.\nexit 0\n"
PACKAGE = "rabbitmq-server"


def machine_where(folder: Path, installation: str = "true") -> Machine:
    """Return a Debian machine with an apt-get that notes the policy and ends as the script says."""
    debian(folder, f'cat "{policy_of(folder)}" >>"$RECORD/policy.seen"\n{installation}')
    return bare_machine(folder)


def policy_of(folder: Path) -> Path:
    """Return the file that Debian's maintainer scripts ask whether they may start services."""
    return folder / "system" / "usr" / "sbin" / "policy-rc.d"


def test_no_service_may_start_meanwhile_and_afterwards_nothing_is_left(
    tmp_path: Path,
) -> None:
    apt.install(machine_where(tmp_path), PACKAGE)

    assert "exit 101" in (tmp_path / "policy.seen").read_text()
    assert list(policy_of(tmp_path).parent.iterdir()) == []


def test_an_administrators_own_policy_stays(tmp_path: Path) -> None:
    machine, policy = machine_where(tmp_path), policy_of(tmp_path)
    policy.write_text(EARLIER)

    apt.install(machine, PACKAGE)

    assert (tmp_path / "policy.seen").read_text() == EARLIER
    assert policy.read_text() == EARLIER


def test_what_a_power_cut_left_is_removed(tmp_path: Path) -> None:
    machine, policy = machine_where(tmp_path, 'kill -9 "$PPID"'), policy_of(tmp_path)
    with pytest.raises(Failure):
        apt.install(machine, PACKAGE)
    assert policy.exists()
    stand_in(tmp_path, "apt-get", "true")

    apt.install(machine, PACKAGE)

    assert not policy.exists()
    assert calls(tmp_path, "dpkg")[-1] == "--configure -a"


def test_its_service_is_disabled_for_the_next_boot(tmp_path: Path) -> None:
    apt.install(machine_where(tmp_path), PACKAGE)

    assert calls(tmp_path, "systemctl") == ["disable rabbitmq-server.service"]


def test_a_failed_installation_is_tried_with_new_lists_then_reported(
    tmp_path: Path,
) -> None:
    machine = machine_where(tmp_path, "echo E: Unable to fetch some archives; exit 100")
    stand_in(
        tmp_path,
        "apt-get",
        '[ "$1" = update ] || { echo E: Unable to fetch; exit 100; }',
    )

    with pytest.raises(
        Failure, match="rabbitmq-server could not be installed"
    ) as failure:
        apt.install(machine, PACKAGE)

    assert "Unable to fetch" in failure.value.why
    assert [call.split()[0] for call in calls(tmp_path, "apt-get")] == [
        "-o",
        "update",
        "-o",
    ]
    assert not policy_of(tmp_path).exists()


def test_without_apt_packages_cannot_be_installed(tmp_path: Path) -> None:
    assert not apt.available(bare_machine(tmp_path))
