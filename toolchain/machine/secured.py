"""What `make run SECURE=yes` hands to each part, fresh for the run: its tokens, and to a sidecar its certificates.

`SECURE_FOLDER` names the folder in which they are (toolchain/servers/secured.py): for each app `<app-id>.env`
with both tokens, `<app-id>.jwt`, by which sentry knows the sidecar, and sentry's own folder.
"""

from collections.abc import Mapping
from pathlib import Path

FOLDER, SENTRY = "SECURE_FOLDER", "SENTRY_ADDRESS"
"""The variables that name the folder, and where sentry listens."""
ROOT_CERTIFICATE = "sentry/ca.crt"


def tokens(folder: Path, app_id: str) -> dict[str, str]:
    """Return APP_API_TOKEN and DAPR_API_TOKEN of an app and its sidecar; raises OSError where there are none."""
    lines = (folder / f"{app_id}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def of_app(environment: Mapping[str, str], app_id: str) -> dict[str, str]:
    """Return what an app has in its environment beside all else; nothing where the run is not secure."""
    folder = environment.get(FOLDER)
    return tokens(Path(folder), app_id) if folder else {}


def of_sidecar(environment: Mapping[str, str], app_id: str) -> dict[str, str]:
    """Return what a sidecar has in its environment beside all else; nothing where the run is not secure."""
    if not (folder := environment.get(FOLDER)):
        return {}
    return {
        **tokens(Path(folder), app_id),
        "DAPR_TRUST_ANCHORS": (Path(folder) / ROOT_CERTIFICATE).read_text(),
        "DAPR_SENTRY_TOKEN_FILE": str(Path(folder) / f"{app_id}.jwt"),
    }


def flags(environment: Mapping[str, str], app_id: str) -> list[str]:
    """Return daprd's flags beside those of `dapr run`; none where the run is not secure."""
    if not environment.get(FOLDER):
        return []
    sentry = ("--enable-mtls", f"--sentry-address={environment[SENTRY]}")
    return [*sentry, f"--config=configuration/secure/{app_id}.yaml"]
