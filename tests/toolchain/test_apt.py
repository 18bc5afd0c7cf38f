"""Installing a package without its services: what forbids starts is there meanwhile, and only then."""

from pathlib import Path

import pytest

from tests.toolchain.stand_ins import bare_machine, calls, stand_in
from toolchain.machine import Machine, apt
from toolchain.machine.failure import Failure

EARLIER = "#!/bin/sh\n# The administrator's own.\nexit 0\n"
APT_GET = 'cat "$POLICY" >>"$RECORD/policy.seen"; [ "$4" != install ] && [ "$3" != install ] || {}'


def debian(folder: Path, installation: str = "true") -> Machine:
    """A Debian machine on which nothing is installed, with an apt-get that ends as the script says."""
    policy = folder / "system" / "usr" / "sbin" / "policy-rc.d"
    policy.parent.mkdir(parents=True)
    stand_in(folder, "apt-get", APT_GET.format(installation))
    stand_in(folder, "sudo", 'shift; exec "$@"')
    for name in ("apt-cache", "dpkg", "dpkg-query", "systemctl"):
        stand_in(folder, name, "true")
    return bare_machine(folder, POLICY=str(policy))


def test_no_service_may_start_meanwhile_and_the_earlier_policy_is_back(
    tmp_path: Path,
) -> None:
    machine = debian(tmp_path)
    policy = apt.policy_of(machine)
    policy.write_text(EARLIER)
    policy.chmod(0o755)

    apt.install(machine, "rabbitmq-server", 1)

    assert "exit 101" in (tmp_path / "policy.seen").read_text()
    assert policy.read_text() == EARLIER
    assert [path.name for path in policy.parent.iterdir()] == ["policy-rc.d"]


def test_where_there_was_no_policy_there_is_none_afterwards(tmp_path: Path) -> None:
    machine = debian(tmp_path)

    apt.install(machine, "rabbitmq-server", 1)

    assert "exit 101" in (tmp_path / "policy.seen").read_text()
    assert list(apt.policy_of(machine).parent.iterdir()) == []


def test_what_the_installation_enabled_is_disabled_for_the_next_boot(
    tmp_path: Path,
) -> None:
    apt.install(debian(tmp_path), "rabbitmq-server", 1)

    assert calls(tmp_path, "systemctl") == [
        "disable rabbitmq-server.service",
        "disable epmd.service",
        "disable epmd.socket",
    ]


def test_services_that_the_package_does_not_bring_stay_as_they_are(
    tmp_path: Path,
) -> None:
    apt.install(debian(tmp_path), "redis-server", 1)

    assert calls(tmp_path, "systemctl") == ["disable redis-server.service"]


def test_services_of_a_package_that_was_there_before_stay_as_they_are(
    tmp_path: Path,
) -> None:
    machine = debian(tmp_path)
    stand_in(tmp_path, "dpkg-query", '[ "$4" = erlang-base ] && printf installed')

    apt.install(machine, "rabbitmq-server", 1)

    assert calls(tmp_path, "systemctl") == ["disable rabbitmq-server.service"]


def test_a_failed_installation_is_tried_with_new_lists_then_said_and_the_policy_is_back(
    tmp_path: Path,
) -> None:
    machine = debian(tmp_path, "{ echo E: Unable to fetch some archives; exit 100; }")
    apt.policy_of(machine).write_text(EARLIER)

    with pytest.raises(
        Failure, match="rabbitmq-server could not be installed"
    ) as failure:
        apt.install(machine, "rabbitmq-server", 1)

    assert "Unable to fetch" in failure.value.why
    assert [call.split()[0] for call in calls(tmp_path, "apt-get")] == [
        "-o",
        "update",
        "-o",
    ]
    assert apt.policy_of(machine).read_text() == EARLIER


def test_an_unknown_package_is_looked_for_in_new_lists_first(tmp_path: Path) -> None:
    machine = debian(tmp_path)
    stand_in(tmp_path, "apt-cache", "exit 100")

    apt.install(machine, "rabbitmq-server", 1)

    assert calls(tmp_path, "apt-get")[0] == "update"


def test_the_next_run_repairs_what_a_power_cut_left(tmp_path: Path) -> None:
    machine = debian(tmp_path)
    policy = apt.policy_of(machine)
    policy.write_text(EARLIER)
    packages = apt.Packages(machine.environment, policy)
    cut_off = apt.services_forbidden(packages, ("rabbitmq-server.service",))
    cut_off.__enter__()
    stand_in(tmp_path, "dpkg-query", "printf installed")
    assert apt.unfinished(policy)

    apt.install(machine, "rabbitmq-server", 1)

    assert policy.read_text() == EARLIER
    assert not apt.unfinished(policy)
    assert calls(tmp_path, "dpkg") == ["--configure -a"]
    assert calls(tmp_path, "systemctl") == ["disable rabbitmq-server.service"]


def test_without_apt_packages_cannot_be_installed(tmp_path: Path) -> None:
    assert not apt.available(bare_machine(tmp_path))
