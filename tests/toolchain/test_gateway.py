"""What the gateway is started with, by its settings; its manners are tested in tests/gateway."""

from pathlib import Path

import pytest

from toolchain import runfile
from toolchain.machine import Machine, this_machine
from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.runfile import ROOT, System
from toolchain.servers import gateway


@pytest.fixture
def system(tmp_path: Path) -> System:
    """Make a system with a gateway."""
    return runfile.with_gateway(runfile.load(1000, tmp_path))


def written(system: System, **settings: str) -> str:
    """Write what a gateway with these settings is started with; return where it listens, and how."""
    machine = Machine(ROOT, {**this_machine().environment, **settings})
    gateway.write(machine, system)
    return (system.state / "gateway" / "listen.conf").read_text()


def test_without_settings_it_listens_on_this_machine_with_a_new_certificate(
    system: System,
) -> None:
    folder = system.state / "gateway"

    first = written(system)
    certificate = (folder / "certificate.pem").read_text()
    written(system)

    assert first.startswith("listen 127.0.0.1:9443 ssl http2;\n")
    assert 'set $transport_security "";' in first
    assert (folder / "certificate.pem").read_text() != certificate
    assert (folder / "key.pem").stat().st_mode & 0o077 == 0


def test_a_certificate_of_ones_own_is_used_and_browsers_are_held_to_tls(
    system: System, tmp_path: Path
) -> None:
    written(system)
    files = [system.state / "gateway" / each for each in ("certificate.pem", "key.pem")]
    certificate, key = [each.rename(tmp_path / each.name) for each in files]

    said = written(system, GATEWAY_CERTIFICATE=str(certificate), GATEWAY_KEY=str(key))

    assert f"ssl_certificate {certificate};\nssl_certificate_key {key};\n" in said
    assert 'set $transport_security "max-age=63072000";' in said


def test_beyond_this_machine_it_listens_only_where_callers_are_asked_who_they_are(
    system: System,
) -> None:
    with pytest.raises(Failure) as failure:
        written(system, GATEWAY_ADDRESS="0.0.0.0")  # noqa: S104 - it is refused
    assert "OIDC_ISSUER" in failure.value.why
    assert failure.value.status == EX_CONFIG

    asked = {"OIDC_ISSUER": "https://issuer.example.org"}
    said = written(system, GATEWAY_ADDRESS="0.0.0.0", **asked)  # noqa: S104 - as asked

    assert said.startswith("listen 0.0.0.0:9443 ssl")


@pytest.mark.parametrize("missing", ["GATEWAY_CERTIFICATE", "GATEWAY_KEY"])
def test_a_certificate_or_key_that_is_not_there_is_named(
    missing: str, system: System, tmp_path: Path
) -> None:
    names = ("GATEWAY_CERTIFICATE", "GATEWAY_KEY")
    settings = {name: str(tmp_path / "there.pem") for name in names}
    (tmp_path / "there.pem").touch()

    with pytest.raises(Failure, match=missing):
        written(system, **{**settings, missing: str(tmp_path / "nowhere.pem")})


def test_the_gateways_sidecar_can_only_invoke_and_loads_no_component(
    system: System,
) -> None:
    written(system)
    app = system.app("gateway")

    said = Path(app["configFilePath"]).read_text()
    assert "allowed" in said
    assert "publish" not in said
    assert [*Path(app["resourcesPaths"][0]).iterdir()] == []


def test_the_services_know_where_browsers_find_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: System
) -> None:
    env = system.app("notification")["env"]
    assert env["PUBLIC_URL"] == "https://localhost:9443/notifications/"

    monkeypatch.setenv("PUBLIC_URL", "https://shop.example.org/")
    other = runfile.with_gateway(runfile.load(1000, tmp_path))
    env = other.app("order")["env"]

    assert env["PUBLIC_URL"] == "https://shop.example.org/"
    assert env["NOTIFICATION_PAGES_URL"] == "https://shop.example.org/notifications/"
