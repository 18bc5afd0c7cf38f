"""What is wrong with a YAML is a sentence before anything starts, and while the system runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toolchain import run, runfile
from toolchain.doctor import system as doctor
from toolchain.doctor.system import Watch
from toolchain.machine import Machine
from toolchain.machine.failure import EX_CONFIG, Failure
from toolchain.runfile import ROOT, System

COMPONENT = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata:
  name: another
spec:
  type: pubsub.in-memory
  version: v1
"""
SECRET = """  metadata:
    - name: password
      secretKeyRef: {name: redis, key: redis}
auth:
  secretStore: vault
"""
STORE = COMPONENT.replace("another", "vault")
FOLDER = "components/rabbitmq"

Change = Callable[[Path], object]


def written(text: str, name: str = "more.yaml") -> Change:
    """Return how a file with this text comes into the broker's folder."""
    return lambda folder: (folder / name).write_text(text)


def _replace(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


def with_secret(store: str) -> Change:
    """Return how a component with a secret, and its store, come into the folder."""

    def change(folder: Path) -> None:
        written(COMPONENT + SECRET)(folder)
        written(store, "vault.yaml")(folder)

    return change


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    """Copy the YAML of the project; return the system that it describes."""
    for name in ("components", "configuration"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "dapr.yaml", tmp_path)
    monkeypatch.setattr(runfile, "ROOT", tmp_path)
    return runfile.load(state=tmp_path / "state")


def found(system: System) -> list[str]:
    """Return what is found in the environment that a run has."""
    return doctor.sentences(system, system.addresses())


@pytest.mark.parametrize("broker", ["rabbitmq", "redis", "kafka"])
@pytest.mark.parametrize("mail", runfile.MAILS)
@pytest.mark.usefixtures("system")
def test_nothing_is_wrong_with_ours(broker: str, mail: str) -> None:
    assert found(runfile.load(broker=broker, mail=mail)) == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(
            lambda folder: shutil.copy(
                folder / "pubsub.yaml", folder / "pubsub-copy.yaml"
            ),
            "pubsub.yaml:6: `metadata.name: pubsub` is in rabbitmq/pubsub-copy.yaml:6 too",
            id="a duplicate",
        ),
        pytest.param(
            written(COMPONENT + "  metadata: ["),
            "more.yaml:8: is no YAML",
            id="half",
        ),
        pytest.param(
            written(COMPONENT[:54]), "more.yaml:3: has no `metadata.name`", id="a third"
        ),
        pytest.param(
            written(COMPONENT[:29]), "more.yaml:1: has no `kind`", id="a line"
        ),
        pytest.param(written("---\n# soon\n"), "more.yaml: is empty", id="empty"),
        pytest.param(
            written("- pubsub\n"), "more.yaml:1: has no `apiVersion`", id="a list"
        ),
        pytest.param(
            written("services: {}\n", "compose.yml"),
            "compose.yml:1: has no `apiVersion`",
            id="a stray",
        ),
        pytest.param(
            written(COMPONENT.replace("Component", "Komponent")),
            "`kind: Komponent` is none of",
            id="a kind",
        ),
        pytest.param(
            written(f"{COMPONENT}# {'x' * 70_000}"), "64 KiB or more", id="huge"
        ),
        pytest.param(
            lambda folder: (folder / "more.yaml").write_bytes(b"\xff\0\1"),
            "is no YAML",
            id="bytes",
        ),
        pytest.param(
            lambda folder: (folder / "more.yaml").mkdir(),
            "cannot be read: Is a dir",
            id="a folder",
        ),
        pytest.param(
            lambda folder: (folder / ".#pubsub.yaml").symlink_to("jane@host.4711"),
            r"\.#pubsub.yaml: cannot be read: .*\(an editor's lock\); close it",
            id="an editor's lock",
        ),
        pytest.param(
            shutil.rmtree,
            r"rabbitmq/\*.yaml: cannot be read",
            id="no folder",
        ),
        pytest.param(
            written(COMPONENT + "  metadata: [{name: host, envRef: NATS_URL}]\n"),
            "more.yaml:8: `host` refers to the variable NATS_URL, which is not set; set it",
            id="a variable",
        ),
        *[
            pytest.param(
                written(f"{COMPONENT}  metadata: {shape}\n"),
                "more.yaml:8: has a `spec.metadata` that is no list",
                id=f"a metadata of {shape}",
            )
            for shape in ("{host: here}", "[host]", "here", "[{value: here}]")
        ],
        pytest.param(written("[" * 60_000), "is no YAML: .*recursion", id="deep"),
        pytest.param(
            written(COMPONENT + SECRET),
            "more.yaml:10: `auth.secretStore: vault` is no component here, and `password` needs it",
            id="no secret store",
        ),
        pytest.param(
            with_secret(STORE.replace("pubsub.in-memory", "secretstores.local.env")),
            "more.yaml:10: `password` refers to the secret redis, which vault has not",
            id="a secret of the environment",
        ),
        pytest.param(
            with_secret(
                STORE.replace("pubsub.in-memory", "secretstores.local.file")
                + "  metadata: [{name: secretsFile, value: secrets.json}]\n"
            ),
            "more.yaml:10: `password` refers to the secret redis, which vault has not",
            id="a secret of a file",
        ),
        pytest.param(
            lambda folder: _replace(
                folder / "subscription.yaml", "queueType", "maxLen: 9\n  queueType"
            ),
            "subscription.yaml:9: `maxLen` leaves no queue at all",
            id="a limit of the queue",
        ),
        pytest.param(
            lambda folder: _replace(
                folder / "pubsub.yaml", "deletedWhenUnused", "deletedWhenUnusd"
            ),
            "subscription.yaml:9: RabbitMQ refuses it while `deletedWhenUnused` of `pubsub` is true",
            id="a queue that is refused",
        ),
        *[
            pytest.param(
                written(text, "subscription.yaml"),
                f"subscription.yaml.*: {sentence}",
                id=f"tuning {text}",
            )
            for text, sentence in {
                "": "is no `kind: SubscriptionTuning`",
                "- pubsub": "is no `kind: SubscriptionTuning`",
                COMPONENT.replace(
                    "Component", "Subscription"
                ): "is no `kind: SubscriptionTuning`",
                "apiVersion: a\nkind: SubscriptionTuning": "has no whole number in `bulkSubscribe.maxM",
                "apiVersion: a\nkind: SubscriptionTuning\nmetadata: [maxLen]": "has a `metadata` that is no",
                "apiVersion: a\nkind: SubscriptionTuning\nmetadata: {maxLen: 1000}\n"
                "bulkSubscribe: {maxMessagesCount: 9, maxAwaitDurationMs: 1}": "`maxLen` leaves no queue at all",
            }.items()
        ],
    ],
)
def test_what_is_wrong_is_a_sentence_with_file_field_and_remedy(
    system: System, change: Change, sentence: str
) -> None:
    change(runfile.ROOT / FOLDER)

    with pytest.raises(Failure, match=sentence) as failure:
        doctor.check(system, system.addresses())

    assert FOLDER in failure.value.why
    assert failure.value.status == EX_CONFIG


def test_nothing_is_started_on_a_yaml_that_is_wrong(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    written("")(runfile.ROOT / FOLDER)
    monkeypatch.setattr(run, "provided", lambda *_: pytest.fail("it was started"))

    with (
        pytest.raises(Failure, match="is empty"),
        run.running(Machine(runfile.ROOT, {}), system),
    ):
        pass


def test_a_secret_that_is_there_is_not_wrong(system: System) -> None:
    with_secret(
        STORE.replace("pubsub.in-memory", "secretstores.local.file")
        + "  metadata: [{name: secretsFile, value: secrets.json}]\n"
    )(runfile.ROOT / FOLDER)
    (runfile.ROOT / "secrets.json").write_text('{"redis": "pass"}')

    assert found(system) == []


def test_what_is_saved_while_the_system_runs_is_said_once_and_that_it_is_mended(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    watch = Watch(system, system.addresses())
    watch.look()
    assert capsys.readouterr().out == ""

    shutil.copy(
        runfile.ROOT / FOLDER / "pubsub.yaml", runfile.ROOT / FOLDER / "copy.yaml"
    )
    watch.look()
    watch.look()
    said = capsys.readouterr().out
    assert said.count("`metadata.name: pubsub` is in rabbitmq/copy.yaml:6 too") == 1

    (runfile.ROOT / FOLDER / "copy.yaml").unlink()
    watch.look()
    assert "all of it is right again" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("dapr.yaml", "", "dapr.yaml cannot be used"),
        ("dapr.yaml", "- apps", "dapr.yaml cannot be used: Needed are common, apps"),
        ("dapr.yaml", "common: [", "dapr.yaml cannot be used: .*line 1"),
        (
            "configuration/dapr.yaml",
            "kind: Configuration",
            "configuration/dapr.yaml cannot be used: Needed are spec",
        ),
    ],
)
@pytest.mark.usefixtures("system")
def test_a_run_file_that_is_wrong_is_a_sentence(
    file: str, text: str, sentence: str, tmp_path: Path
) -> None:
    (runfile.ROOT / file).write_text(text)

    with pytest.raises(Failure, match=sentence) as failure:
        runfile.load(1000, tmp_path / "moved")

    assert failure.value.status == EX_CONFIG
