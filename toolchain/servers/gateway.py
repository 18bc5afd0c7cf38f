"""The public door: nginx with the files of gateway/, its certificate, and its own sidecar's configuration."""

import ssl
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from toolchain.machine import Machine, apt, find, network, terminal
from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.runfile import ROOT, System

NAME, PACKAGE = "gateway", "nginx"
CERTIFICATE, KEY, ADDRESS = "GATEWAY_CERTIFICATE", "GATEWAY_KEY", "GATEWAY_ADDRESS"
DAYS = "30"
LONGER = "max-age=63072000"
"""Two years, for a certificate that browsers trust; with the one of a run, they would lock out http://localhost."""
QUESTION = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def prepare(machine: Machine) -> None:
    """Install nginx where that can be done; nothing but the gateway and its tests needs it."""
    if not find(machine, PACKAGE) and apt.available(machine):
        with suppress(Failure):
            apt.install(machine, PACKAGE)
    if found := find(machine, PACKAGE):
        terminal.done(NAME, f"for GATEWAY=yes, {found}")
    else:
        terminal.warning(NAME, "nginx is not there; the gateway is not tested")


def write(machine: Machine, system: System) -> None:
    """Write all that this system's gateway is started with; nginx is installed where that needs no password."""
    for program in (PACKAGE, "openssl"):
        if not find(machine, program):
            apt.provide(machine, program, program, "run it without GATEWAY=yes")
    folder = (system.state / "gateway").absolute()
    for file in (ROOT / "gateway").glob("*.conf"):
        _save(folder / file.name, file.read_text())
    environment = machine.environment
    certificate = _certificate(environment, folder)
    _save(folder / "listen.conf", _listen(system, environment, certificate))
    port = system.app("gateway")["daprHTTPPort"]
    _save(folder / "sidecar.conf", f"server 127.0.0.1:{port};\n")
    token = system.variables("gateway").get("DAPR_API_TOKEN")
    sent = f'proxy_set_header dapr-api-token "{token}";\n' if token else ""
    _save(folder / "token.conf", sent)


def serves(port: int) -> bool:
    """Return whether the gateway answers there."""
    answer = (
        network.ask(("127.0.0.1", port), QUESTION, size=12, encrypted=any_certificate())
        or b""
    )
    return answer.endswith(b" 200")


def certificate_of(system: System) -> Path:
    """Return the certificate that is made for a run."""
    return system.state / "gateway" / "certificate.pem"


def any_certificate() -> ssl.SSLContext:
    """Return what accepts a certificate of a run, on this machine."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _listen(
    system: System, environment: Mapping[str, str], certificate: tuple[Path, Path]
) -> str:
    address = environment.get(ADDRESS) or "127.0.0.1"
    is_open = not address.startswith("127.")
    if is_open and not environment.get("OIDC_ISSUER"):
        raise Failure(
            f"The gateway does not listen at {address}",
            "Without OIDC_ISSUER, whoever reaches the gateway may see and change everything.",
            f"Set OIDC_ISSUER, or unset {ADDRESS}: then it listens on this machine alone.",
            EX_CONFIG,
        )
    longer = LONGER if environment.get(CERTIFICATE) else ""
    return (
        f"listen {address}:{system.port('gateway')} ssl http2;\n"
        f"ssl_certificate {certificate[0]};\n"
        f"ssl_certificate_key {certificate[1]};\n"
        f'set $transport_security "{longer}";\n'
    )


def _certificate(environment: Mapping[str, str], folder: Path) -> tuple[Path, Path]:
    """Return the certificate and its key: those of the settings, or new ones for this run."""
    given = [environment.get(each) for each in (CERTIFICATE, KEY)]
    if certificate := given[0]:
        key = given[1] or ""
        for name, file in ((CERTIFICATE, certificate), (KEY, key)):
            if not Path(file).is_file():
                remedy = f"Set {CERTIFICATE} and {KEY} to PEM files, or unset both."
                why = f"There is no file {file or '(it is not set)'}."
                raise Failure(f"{name} cannot be used", why, remedy, EX_CONFIG)
        return Path(certificate).absolute(), Path(key).absolute()
    made, key_file = folder / "certificate.pem", folder / "key.pem"
    _save(key_file, "")
    _save(made, "")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    # fmt: off
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", DAYS, "-subj", "/CN=localhost", "-addext", names, "-keyout", str(key_file), "-out", str(made),
        ],
        env=dict(environment), capture_output=True, check=True,
    )
    # fmt: on
    return made, key_file


def _save(file: Path, text: str) -> None:
    file.touch(0o600)
    file.chmod(0o600)
    file.write_text(text)
