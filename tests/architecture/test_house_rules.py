"""The house's own rules, as far as no other tool checks them; each is shown a breach that it must find."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
PRODUCTION = ("contracts", "chassis", "services", "toolchain")
KNOWS_NO_BROKER = ("contracts", "chassis", "services")
ASKS_NOTHING_OF_THE_ENVIRONMENT = ("contracts", "chassis", "services")
LEAVES_TRANSACTIONS_TO_THE_DOOR = ("contracts", "services", "toolchain", "tests")

LONGEST_FUNCTION, LONGEST_FILE, LONGEST_TEST_FILE, MEDIAN_FUNCTION = 40, 250, 300, 8
OVERRIDES = {"process_bind_param", "process_result_value"}
"""Methods whose documentation is that of the library's class which they override."""
ENDS_TRANSACTIONS = {"begin", "begin_nested", "commit", "rollback"}
READS_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
BARE_IGNORE = re.compile(
    r"#\s*(?:ruff:\s*|flake8:\s*)?noqa(?!\s*:\s*[A-Z]+\d)|#\s*type:\s*ignore(?!\[[a-z])|#\s*mypy:\s*ignore-errors"
)
MACHINE_PATH = re.compile(
    r"(?<![\w.~>)}/-])/(?:home|root|Users|work|tmp|mnt|var/folders)/\w|\b[A-Z]:\\+Users\b"
)
# In parts, or this file would break its own rule.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("crates", "io"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("maven", "org"),
        ("maven", "apache", "org"),
        ("debian", "org"),
    )
)
HOSTS = re.compile(rf"\b(?:{'|'.join(map(re.escape, REGISTRIES))})\b", re.IGNORECASE)

BROKER = re.compile(
    r"rabbit|kafka|amqp|jetstream|mqtt|mosquitto|pulsar|service.?bus|event.?hub"
    r"|redis(?!tribut|play|patch|cover)|(?<![a-z])(?:nats|sns|sqs)(?![a-z])",
    re.IGNORECASE,
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One file of the project: its path from the root, and what it says."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The file as Python reads it."""
        return ast.parse(self.text)

    def functions(self) -> Iterator[Function]:
        """Give every function, nested ones and methods too."""
        return (n for n in ast.walk(self.tree) if isinstance(n, Function))


@cache
def tracked() -> tuple[Source, ...]:
    """Give every text file that git keeps, or would keep once it is added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip(f"no git checkout to look at: {listed.stderr.decode().strip()}")
    paths = {Path(name) for name in listed.stdout.decode().split("\0") if name}
    contents = {p: (ROOT / p).read_bytes() for p in paths if (ROOT / p).is_file()}
    return tuple(
        Source(path, content.decode(errors="replace"))
        for path, content in sorted(contents.items())
        if b"\0" not in content
    )


def python(*folders: str) -> list[Source]:
    """Give the Python files in these folders."""
    return [
        source
        for source in tracked()
        if source.path.suffix == ".py" and source.path.parts[0] in folders
    ]


def length(function: Function) -> int:
    """Count a function's lines, from its `def` on."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def long_functions(source: Source) -> Iterator[str]:
    """Find functions that are too long; a migration, which Alembic writes, is as long as its tables."""
    if source.path.parent.name == "versions":
        return
    for function in source.functions():
        if length(function) > LONGEST_FUNCTION:
            yield (
                f"{source.path}:{function.lineno} {function.name} is {length(function)} lines long, "
                f"{LONGEST_FUNCTION} are allowed"
            )


def long_files(source: Source) -> Iterator[str]:
    """Find a file that is too long."""
    allowed = LONGEST_TEST_FILE if source.path.parts[0] == "tests" else LONGEST_FILE
    lines = len(source.text.splitlines())
    if lines > allowed:
        yield f"{source.path} is {lines} lines long, {allowed} are allowed"


def missing_docstrings(source: Source) -> Iterator[str]:
    """Find modules without a docstring, and what is public without one; of tests only the modules."""
    if source.tree.body and not ast.get_docstring(source.tree):
        yield f"{source.path}:1 the module has no docstring"
    if source.path.parts[0] != "tests" or source.path.parts[1] == "support":
        for node in _public(source.tree):
            if not ast.get_docstring(node):
                yield f"{source.path}:{node.lineno} {node.name} is public and has no docstring"


def _public(scope: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    for node in scope.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            if node.name not in OVERRIDES:
                yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def ended_transactions(source: Source) -> Iterator[str]:
    """Find who begins or ends a transaction though that is the door's."""
    calls = (node.func for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    for called in calls:
        if isinstance(called, ast.Attribute) and called.attr in ENDS_TRANSACTIONS:
            yield (
                f"{source.path}:{called.lineno} calls {called.attr}(): the door begins and ends transactions "
                "(chassis/database.py)"
            )


def environment_reads(source: Source) -> Iterator[str]:
    """Find who reads the environment though settings do."""
    for node in ast.walk(source.tree):
        for name in sorted(_taken_from_os(node) & READS_ENVIRONMENT):
            line = getattr(node, "lineno", 0)
            yield f"{source.path}:{line} uses os.{name}: Settings reads settings, in app.py"


def _taken_from_os(node: ast.AST) -> set[str]:
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "os":
        return {node.attr}
    if isinstance(node, ast.ImportFrom) and node.module == "os":
        return {alias.name for alias in node.names}
    return set()


def bare_ignores(source: Source) -> Iterator[str]:
    """Find comments that silence a tool without saying of what."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and (
            bare := BARE_IGNORE.search(token.string)
        ):
            yield f"{source.path}:{token.start[0]} `{bare.group()}` names no rule that it silences"


def machine_paths(source: Source) -> Iterator[str]:
    """Find paths that exist on one machine only."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := MACHINE_PATH.search(line):
            yield f"{source.path}:{number} names a path of one machine: {line[found.start() :][:40]}"


def registry_hosts(source: Source) -> Iterator[str]:
    """Find hosts of package registries: which one is used is the machine's business."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := HOSTS.search(line):
            yield f"{source.path}:{number} names a package registry: {found.group()}"


def named_brokers(source: Source) -> Iterator[str]:
    """Find brokers that are named, be it in a comment: which one it is stands in YAML alone."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := BROKER.search(line):
            yield f"{source.path}:{number} names a broker: {found.group()}"


Rule = Callable[[Source], Iterator[str]]


def holds(rule: Rule, sources: Sequence[Source]) -> None:
    """Check that a rule is kept; say of every breach where it is."""
    assert sources
    found = [breach for source in sources for breach in rule(source)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "rule", [long_functions, long_files, missing_docstrings, bare_ignores]
)
def test_all_python_is_short_and_says_what_it_is_for(rule: Rule) -> None:
    holds(rule, python(*PRODUCTION, "tests"))


def test_the_door_owns_the_transaction() -> None:
    holds(ended_transactions, python(*LEAVES_TRANSACTIONS_TO_THE_DOOR))


def test_nobody_but_the_settings_reads_the_environment() -> None:
    holds(environment_reads, python(*ASKS_NOTHING_OF_THE_ENVIRONMENT))


def test_no_service_and_no_chassis_names_a_broker() -> None:
    holds(named_brokers, python(*KNOWS_NO_BROKER))


@pytest.mark.parametrize("rule", [machine_paths, registry_hosts])
def test_no_file_knows_the_machine_it_was_written_on(rule: Rule) -> None:
    holds(rule, tracked())


def test_half_of_all_functions_have_at_most_eight_lines() -> None:
    lengths = [length(f) for source in python(*PRODUCTION) for f in source.functions()]

    assert median(lengths) <= MEDIAN_FUNCTION


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (long_functions, "def f():\n" + "    pass\n" * 40),
        (long_files, "\n" * 251),
        (missing_docstrings, "x = 1"),
        (missing_docstrings, '"""Doc."""\ndef f(): ...'),
        (missing_docstrings, '"""Doc."""\nclass _C:\n    """Doc."""\nclass D: ...'),
        (
            missing_docstrings,
            '"""Doc."""\nclass C:\n    """Doc."""\n    def f(self): ...',
        ),
        (ended_transactions, "async def f(session): await session.commit()"),
        (ended_transactions, "with engine.begin() as c: ..."),
        (environment_reads, "import os\nx = os.environ['X']"),
        (environment_reads, "import os\nx = os.getenv('X')"),
        (environment_reads, "from os import environ as e"),
        (bare_ignores, "import os  # no" + "qa"),
        (bare_ignores, "# ruff: no" + "qa\n"),
        (bare_ignores, "x = 1  # type: " + "ignore"),
        (machine_paths, "see '/" + "home/jane/orders'"),
        (machine_paths, "/" + "tmp/x"),
        (machine_paths, "C:" + "\\Users\\jane"),
        (registry_hosts, f"--index-url https://{REGISTRIES[0]}/simple"),
        (registry_hosts, f"https://files.{REGISTRIES[1]}/x"),
        (named_brokers, "# RabbitMQ keeps it"),
        (named_brokers, "client = RedisClient()"),
        (named_brokers, 'url = "nats://x"'),
    ],
)
def test_each_rule_finds_its_breach(rule: Rule, text: str) -> None:
    assert len(list(rule(Source(Path("services/order/x.py"), text)))) == 1


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (long_functions, "def f():\n" + "    pass\n" * 39),
        (missing_docstrings, ""),
        (missing_docstrings, '"""Doc."""\ndef _f(): ...'),
        (ended_transactions, "session.flush()"),
        (environment_reads, "import os\nos.getpid()"),
        (bare_ignores, "import os  # noqa: F401\nx = 1  # type: ignore[misc]\n"),
        (machine_paths, "cd ~/work/x && ls build/tmp/x https://example.org/home/x"),
        (named_brokers, "redistribute what the broker denominates"),
        (registry_hosts, "pip and PyPI, crates, npm and Debian are words"),
    ],
)
def test_no_rule_complains_of_what_is_right(rule: Rule, text: str) -> None:
    assert list(rule(Source(Path("services/order/x.py"), text))) == []
