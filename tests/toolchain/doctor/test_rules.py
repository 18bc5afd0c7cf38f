"""Each rule finds its bad example, and nothing in its good one."""

import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from toolchain.doctor import yaml_files
from toolchain.doctor.examples import Example, all_examples
from toolchain.doctor.finding import Rule, Severity
from toolchain.doctor.project import Project, Sidecar, read_folder, read_run_file
from toolchain.doctor.rules.all import GROUPS, RULES, findings
from toolchain.runfile import free_port

BY_ID = {rule.id: rule for rule in RULES}
RUN_FILE = """version: 1
common: {{resourcesPaths: [components], apiListenAddresses: 127.0.0.1}}
apps: [{{appID: checkout, appDirPath: ., appPort: {port}, daprHTTPPort: 3500, command: ["true"]}}]
"""
COMPONENT = """apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {{name: pubsub}}
spec: {{type: pubsub.redis, version: v1, metadata: [{{name: redisHost, value: "localhost:{port}"}}]}}
"""
SUBSCRIPTION = """apiVersion: dapr.io/v1alpha1
kind: Subscription
metadata: {name: orders}
spec: {pubsubname: pubsub, topic: orders, route: /orders, deadLetterTopic: orders-dead}
"""
LOADED = {
    "id": "checkout",
    "runtimeVersion": "1.19.0",
    "components": [{"name": "pubsub"}],
    "subscriptions": [{"pubsubname": "pubsub", "topic": "orders"}],
}


def found(project: Project) -> dict[str, str]:
    """Return the message of one finding of each rule that is broken."""
    return {each.rule.id: each.problem.message for each in findings(project)}


def read(example: Example, files: Mapping[str, str], folder: Path) -> Project:
    """Return an example as a project."""
    example.write(files, folder)
    return replace(read_folder(folder, example.environment), daprd=example.daprd)


@pytest.mark.parametrize("rule", all_examples())
def test_a_rule_finds_its_bad_example(rule: str, tmp_path: Path) -> None:
    example = all_examples()[rule]

    project = read(example, example.bad, tmp_path)
    (first, *_) = [each for each in findings(project) if each.rule.id == rule]

    assert first.problem.message
    lines = first.problem.file.read_text().splitlines()
    assert 0 <= first.problem.line <= len(lines)


@pytest.mark.parametrize("rule", all_examples())
def test_a_rule_finds_nothing_in_its_good_example(rule: str, tmp_path: Path) -> None:
    example = all_examples()[rule]

    project = read(example, example.good, tmp_path)
    broken = findings(project)

    assert rule not in {each.rule.id for each in broken}
    assert [
        each.sentence for each in broken if each.rule.severity > Severity.WARNING
    ] == []


def running(
    folder: Path, metadata: dict[str, Any] | None, *, port: int, status: int = 200
) -> Project:
    """Return a project whose sidecar answers this."""
    (folder / "components").mkdir(exist_ok=True)
    (folder / "dapr.yaml").write_text(RUN_FILE.format(port=port))
    (folder / "components/pubsub.yaml").write_text(COMPONENT.format(port=port))
    (folder / "components/orders.yaml").write_text(SUBSCRIPTION)
    run_file = read_run_file(folder / "dapr.yaml")
    assert run_file is not None
    sidecar = Sidecar(run_file.apps[0], run_file.document, metadata, status)
    return replace(read_folder(folder), sidecars=[sidecar])


Make = Callable[[Path], Project]


def lacking(key: str) -> Make:
    """Return how a project comes about whose sidecar lacks something."""
    return lambda folder: running(folder, {**LOADED, key: []}, port=free_port())


def of_two_versions(other: str) -> Make:
    """Return how a project comes about with sidecars of this version and of another."""

    def make(folder: Path) -> Project:
        project = running(folder, LOADED, port=free_port())
        (one,) = project.sidecars
        return replace(
            project,
            sidecars=[one, replace(one, metadata={**LOADED, "runtimeVersion": other})],
        )

    return make


def with_file(make: Callable[[Path], object]) -> Make:
    """Return how a project comes about with another file among its components."""

    def made(folder: Path) -> Project:
        running(folder, LOADED, port=free_port())
        make(folder / "components/another.yaml")
        return read_folder(folder)

    return made


def healthy(folder: Path) -> Project:
    """Return a project that runs, as it should."""
    return running(folder, LOADED, port=free_port())


def of_version(version: str) -> Make:
    """Return how a project comes about on this machine's daprd."""
    return lambda folder: replace(healthy(folder), daprd=version)


def taken(port: int) -> socket.socket:
    """Listen at a port until the result is closed."""
    return socket.create_server(("127.0.0.1", port))


MADE: dict[str, tuple[Make, Make]] = {
    "yaml-unreadable": (
        with_file(lambda file: file.symlink_to("jane@host.4711")),
        healthy,
    ),
    "yaml-too-large": (
        with_file(
            lambda file: file.write_text(f"{COMPONENT.format(port=1)}# {'x' * 70_000}")
        ),
        with_file(
            lambda file: file.write_text(
                f"{'# short' * 50}\n---\n{SUBSCRIPTION.replace('orders}', 'more}')}"
            )
        ),
    ),
    "daprd-flaw-known": (of_version("1.18.2"), healthy),
    "sidecar-of-another": (
        lambda folder: running(folder, {**LOADED, "id": "billing"}, port=free_port()),
        healthy,
    ),
    "sidecar-refuses": (
        lambda folder: running(folder, None, port=free_port(), status=401),
        healthy,
    ),
    "sidecar-lacks-component": (lacking("components"), healthy),
    "sidecar-lacks-subscription": (lacking("subscriptions"), healthy),
    "sidecars-of-several-versions": (
        of_two_versions("1.18.2"),
        of_two_versions("1.19.0"),
    ),
}
WITH_A_SERVER = {"port-taken", "server-silent"}
"""Tested with a server that listens, below."""


@pytest.mark.parametrize("rule", MADE)
def test_a_rule_on_what_no_text_shows_finds_the_bad_and_not_the_good(
    rule: str, tmp_path: Path
) -> None:
    bad, good = MADE[rule]
    for folder in ("bad", "good"):
        (tmp_path / folder).mkdir()

    assert rule in found(bad(tmp_path / "bad"))
    assert rule not in found(good(tmp_path / "good"))


def test_a_taken_port_is_named_with_its_holder_unless_the_system_itself_has_it(
    tmp_path: Path,
) -> None:
    port = free_port()
    with taken(port):
        message = found(running(tmp_path, None, port=port, status=0))["port-taken"]
        ours = found(running(tmp_path, LOADED, port=port))

    assert f"`appPort: {port}` of `checkout` is taken by" in message
    assert "port-taken" not in ours
    assert "port-taken" not in found(running(tmp_path, None, port=port, status=0))


def test_a_port_that_the_project_itself_has_is_not_reported(tmp_path: Path) -> None:
    port = free_port()
    project = running(tmp_path, None, port=port, status=0)
    with taken(port):
        assert "port-taken" not in found(replace(project, root=Path.cwd()))


def test_a_database_that_does_not_listen_is_named(tmp_path: Path) -> None:
    port = free_port()
    project = running(tmp_path, LOADED, port=port)
    (sidecar,) = project.sidecars
    env = {"DATABASE_URL": f"postgresql://order@127.0.0.1:{port}/order"}
    app = replace(sidecar.app, settings={**sidecar.app.settings, "env": env})

    message = found(
        replace(
            project,
            resources=[replace(project.resources[0], files=[])],
            sidecars=[replace(sidecar, app=app)],
        )
    )

    assert (
        message["server-silent"]
        == f"nothing listens at port {port}, where `checkout` connects to by DATABASE_URL"
    )


def test_a_server_that_does_not_listen_is_named_while_a_sidecar_runs(
    tmp_path: Path,
) -> None:
    port = free_port()
    with taken(port):
        listens = found(running(tmp_path, LOADED, port=port))

    assert "server-silent" not in listens
    assert (
        f"port {port}" in found(running(tmp_path, LOADED, port=port))["server-silent"]
    )
    assert "server-silent" not in found(running(tmp_path, None, port=port, status=0))


def test_each_rule_has_a_bad_and_a_good_example() -> None:
    assert {*all_examples()} | {*MADE} | WITH_A_SERVER == {*BY_ID}
    assert len(BY_ID) == len(RULES) >= 30


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_rule_says_what_is_wrong_why_it_matters_and_what_to_do(rule: Rule) -> None:
    assert rule.title
    assert len(rule.why) > 15, rule.why
    assert rule.remedy.endswith(".")


def test_the_groups_hold_every_rule_once() -> None:
    assert sum(map(len, GROUPS.values())) == len(BY_ID)


def test_a_field_is_found_in_the_line_in_which_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "pubsub.yaml"
    file.write_text(
        "# A comment.\napiVersion: dapr.io/v1alpha1\nspec:\n  metadata:\n    - name: a\n      value: b\n"
    )

    (document,) = yaml_files.read(file).documents

    assert document.line("spec", "metadata", 0, "value") == 6
    assert document.line("spec", "metadata", 0, "absent") == 5
    assert document.line("absent") == 2


def test_what_an_anchor_repeats_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "laughs.yaml"
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    file.write_text("\n".join(["a0: &a0 [lol]", *levels]))

    (document,) = yaml_files.read(file).documents

    assert document.text("a0", 0) == "lol"


Place = tuple[Any, ...]
SHAPES: list[Any] = [
    [],
    {},
    "",
    "x",
    [[1]],
    {"a": {"b": 1}},
    None,
    7,
    [{"name": ["x"]}],
]


def places(value: Any) -> list[Place]:  # noqa: ANN401 - whatever a YAML may hold
    """Return the path to each part of a document."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [(), *((key, *rest) for key, each in inside for rest in places(each))]


def reshaped(document: Any, place: Place, shape: Any) -> Any:  # noqa: ANN401 - as above
    """Return a document with something else in one place."""
    if not place:
        return shape
    key, *rest = place
    copy = document.copy()
    copy[key] = reshaped(document[key], tuple(rest), shape)
    return copy


@pytest.mark.parametrize("rule", all_examples())
def test_no_rule_fails_on_yaml_of_any_shape(rule: str, tmp_path: Path) -> None:
    example, chance = all_examples()[rule], random.Random(rule)
    example.write(example.good, tmp_path)
    for name in {*example.beside, *example.good}:
        file = tmp_path / name
        whole = file.read_text()
        documents = list(yaml.safe_load_all(whole))
        known = places(documents[0])
        for place in chance.sample(known, min(3, len(known))):
            first = reshaped(documents[0], place, chance.choice(SHAPES))
            file.write_text(yaml.safe_dump_all([first, *documents[1:]]))
            findings(read_folder(tmp_path, {}))
        file.write_text(whole)
