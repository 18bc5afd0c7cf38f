"""Both kinds of sidecar: every test of this suite runs on each, and asserts the same of both."""

from collections.abc import AsyncIterator

import pytest

from tests.conformance.real_stage import RealStage, real
from tests.conformance.stage import Stage, simulated
from tests.support.sharing import only_here


@pytest.fixture(scope="package")
async def real_stage(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[RealStage]:
    """Run daprd and RabbitMQ, once for the suite; each test leaves them running."""
    if hasattr(request.config, "workerinput"):  # a process of several
        only_here(tmp_path_factory.getbasetemp().parent, "conformance")
    async with real(tmp_path_factory.mktemp("conformance")) as stage:
        yield stage


@pytest.fixture
async def simulated_stage() -> AsyncIterator[Stage]:
    """Make a simulated sidecar."""
    async with simulated() as stage:
        yield stage


@pytest.fixture(
    params=["simulated", pytest.param("daprd", marks=pytest.mark.system)], name="dapr"
)
def either(request: pytest.FixtureRequest) -> Stage:
    """Return the stage of the one kind and then of the other."""
    kind = "real_stage" if request.param == "daprd" else "simulated_stage"
    stage: Stage = request.getfixturevalue(kind)
    return stage
