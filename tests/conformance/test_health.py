"""Health: how a sidecar judges the app behind it."""

import asyncio
import os
from itertools import cycle
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.responses import Response

from tests.conformance.probe import served
from tests.support.eventually import eventually
from tests.support.part import Part
from tests.support.system import sidecar_command
from toolchain import runfile

THRESHOLD = 3


@pytest.mark.system
async def test_failed_probes_add_up_to_an_unhealthy_app_though_others_succeed_between_them(
    tmp_path: Path,
) -> None:
    """Dapr's manual says: in a row. Once that is so, `appHealthThreshold` in dapr.yaml may be small again."""
    system = runfile.load(runfile.free_offset(), tmp_path)
    system.document["common"] |= {
        "appHealthProbeInterval": 2,
        "appHealthProbeTimeout": 1900,
        "appHealthThreshold": THRESHOLD,
    }
    order, log = system.app("order"), tmp_path / "daprd.log"
    environment = {**os.environ, **system.addresses()}  # noqa: TID251 - handed on, not read
    daprd = Part(sidecar_command(system, order), environment, log)
    answered: list[int] = []

    async def flips() -> bool:
        return "App entered un-healthy status" in daprd.said()

    with served(_well_every_other_time(answered), order["appPort"]):
        daprd.start()
        try:
            await eventually(flips, f"the app is unhealthy; see {log}")
        finally:
            await asyncio.to_thread(daprd.stop)

    assert answered[: 2 * THRESHOLD] == [200, 503] * THRESHOLD


def _well_every_other_time(answered: list[int]) -> FastAPI:
    app, statuses = FastAPI(), cycle([200, 503])

    @app.get("/healthz")
    async def probe() -> Response:
        answered.append(next(statuses))
        return Response(status_code=answered[-1])

    return app
