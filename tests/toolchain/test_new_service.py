"""`make new-service`: what it adds works and passes the checks, and a name that cannot be changes nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.repository import copied
from toolchain import runfile
from toolchain.machine.failure import Failure
from toolchain.new_service import name as naming

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; return what it said, and how it ended."""
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def added(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Type `make new-service`, without the set-up."""
    return run(sys.executable, "-m", "toolchain.new_service", name, folder=folder)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the repository, and add two services: of one word, and of two."""
    folder = copied(tmp_path_factory.mktemp("clone"))
    for name in ("invoicing", "order-archive"):
        done = added(folder, name)
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def texts(folder: Path) -> dict[Path, bytes]:
    """Return what every file of a copy has."""
    return {
        each.relative_to(folder): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file()
        and not {".venv", "__pycache__"} & {*each.relative_to(folder).parts}
    }


def test_what_it_adds_passes_the_checks(clone: Path) -> None:
    for command in (
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("mypy", "--cache-dir", str(ROOT / ".mypy_cache"), "-p", "services",
         "-p", "tests.invoicing", "-p", "tests.order_archive"),
        ("lint-imports", "--no-logo"),
    ):  # fmt: skip
        done = run(PROGRAMS / command[0], *command[1:], folder=clone)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_what_it_adds_passes_its_own_tests_and_those_of_the_yaml_and_the_documents(
    clone: Path,
) -> None:
    own = ("tests/invoicing", "tests/order_archive")
    others = ("tests/components/test_yaml.py", "tests/components/test_run_file.py")
    documents = ("test_openapi.py", "test_asyncapi.py", "test_reference.py")
    paths = [*own, *others, *(f"tests/documents/{each}" for each in documents)]
    options = ("-q", "-p", "no:cacheprovider", "-m", "not system", "-k", "not postgresql")  # fmt: skip

    done = run(sys.executable, "-m", "pytest", *options, *paths, folder=clone)

    assert done.returncode == 0, done.stdout[-3000:]


def test_doctor_finds_nothing_wrong_with_it(clone: Path) -> None:
    offset = str(runfile.free_offset())
    checkup = ("env", f"OFFSET={offset}", sys.executable, "-m", "toolchain.checkup")

    done = run(*checkup, folder=clone)

    assert done.returncode == 0, done.stdout


def test_each_new_service_has_ports_of_its_own_beside_those_of_the_gateway(
    clone: Path,
) -> None:
    apps = yaml.safe_load((clone / "dapr.yaml").read_text())["apps"]
    apps.append(yaml.safe_load((clone / "gateway/app.yaml").read_text()))
    ports = [each[port] for each in apps for port in naming.FIRST if port in each]
    ports += [port for each in apps for port in runfile.metrics_ports(each)]

    assert len({*ports, *runfile.PORTS.values()}) == len(ports) + len(runfile.PORTS)


def test_the_gateway_stays_closed_to_it(clone: Path) -> None:
    assert "invoicing" not in (clone / "gateway/routes.conf").read_text()
    own = yaml.safe_load((clone / "configuration/secure/invoicing.yaml").read_text())
    control = own["spec"]["accessControl"]
    assert control["defaultAction"] == "deny"
    assert [each["appId"] for each in control["policies"]] == ["order"]


@pytest.mark.parametrize(
    "path", ["dapr.yaml", "components/rabbitmq/pubsub.yaml", "components/secrets.yaml"]
)
def test_what_was_there_before_stays_and_its_comments_too(
    clone: Path, path: str
) -> None:
    kept = [
        line for line in (ROOT / path).read_text().splitlines() if "value" not in line
    ]
    after = iter((clone / path).read_text().splitlines())

    assert all(line in after for line in kept)  # in the same sequence


REFUSED = {
    "nothing": ("", "one word or several with hyphens"),
    "a capital letter": ("Invoicing", "of small letters"),
    "an underscore": ("order_archive", "of small letters"),
    "a path": ("../order", "of small letters"),
    "a hyphen at its end": ("invoicing-", "of small letters"),
    "a digit first": ("2nd", "of small letters"),
    "much too long": ("a" * 31, "30 characters at most"),
    "a word of Python's": ("import", "a word of Python's own"),
    "a service's name": ("order", "in this system already"),
    "the gateway's": ("gateway", "in this system already"),
    "that of a folder of tests": ("journeys", "a folder tests/journeys"),
    "one that was added": ("invoicing", "in this system already"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=[*REFUSED])
def test_a_name_that_cannot_be_is_refused_in_one_sentence_and_changes_nothing(
    clone: Path, text: str, why: str
) -> None:
    with pytest.raises(Failure) as refused:
        naming.check(text, clone)

    assert why in refused.value.why
    assert "Nothing was changed" in refused.value.remedy


def test_a_refused_name_and_a_yaml_of_another_layout_change_no_file(
    clone: Path, tmp_path: Path
) -> None:
    folder = copied(tmp_path)
    path = folder / "configuration/secure/order.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text())))
    before = texts(folder)

    assert added(folder, "order").returncode == 78
    assert added(folder, "invoicing").returncode == 78

    assert texts(folder) == before


def test_what_cannot_be_finished_is_taken_back(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    model = folder / "toolchain/new_service/template/model.py.txt"
    model.write_text("raise ValueError\n")
    before = texts(folder)

    done = added(folder, "invoicing")

    assert done.returncode == 1
    assert "ValueError" in done.stdout
    assert texts(folder) == before
