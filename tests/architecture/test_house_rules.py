"""The house's own rules, where no other tool checks them; each is shown a breach that it must find."""

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

ROOT = Path(__file__).parents[2]
PRODUCTION = ("contracts", "chassis", "services", "toolchain")
KNOWS_NO_BROKER = ("contracts", "chassis", "services")
ASKS_NOTHING_OF_THE_ENVIRONMENT = ("contracts", "chassis", "services")
PROVES = ("tests", "verification")
EVERYTHING = (*PRODUCTION, *PROVES, "docs")
OWNS_TRANSACTIONS = Path("chassis/database")

LONGEST_FUNCTION, LONGEST_FILE, MEDIAN_FUNCTION = 40, 400, 8
OVERRIDES = {"process_bind_param", "process_result_value"}
"""Methods whose documentation is that of the library's class which they override."""
ENDS_TRANSACTIONS = {"begin", "commit", "rollback"}
"""`with session.begin_nested()` is allowed: it takes back a part, and ends nothing."""
VAGUE = re.compile(r"(?:Give|Tell|Let|Say)s?\b")
"""How no docstring begins: it says what is returned or done."""
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
    """One file of the project: its path from the root, and its text."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The file, parsed."""
        return ast.parse(self.text)

    def functions(self) -> Iterator[Function]:
        """Yield every function, nested ones and methods too."""
        return (n for n in ast.walk(self.tree) if isinstance(n, Function))


@cache
def tracked() -> tuple[Source, ...]:
    """Return every text file that git tracks, or would track once it is added."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    paths = {Path(name) for name in listed.stdout.decode().split("\0") if name}
    contents = {p: (ROOT / p).read_bytes() for p in paths if (ROOT / p).is_file()}
    return tuple(
        Source(path, content.decode(errors="replace"))
        for path, content in sorted(contents.items())
        if b"\0" not in content
    )


def python(*folders: str) -> list[Source]:
    """Return the Python files in these folders."""
    return [
        source
        for source in tracked()
        if source.path.suffix == ".py" and source.path.parts[0] in folders
    ]


def length(function: Function) -> int:
    """Return a function's lines, from its `def` on."""
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
    """Find a file so long that it is probably two ideas."""
    lines = len(source.text.splitlines())
    if lines > LONGEST_FILE:
        yield f"{source.path} is {lines} lines long, {LONGEST_FILE} are allowed"


def missing_docstrings(source: Source) -> Iterator[str]:
    """Find modules without a docstring, and what is public without one; of tests only the modules."""
    if source.tree.body and not ast.get_docstring(source.tree):
        yield f"{source.path}:1 the module has no docstring"
    if not _is_test(source.path):
        for node in _public(source.tree):
            if not ast.get_docstring(node):
                yield f"{source.path}:{node.lineno} {node.name} is public and has no docstring"


def _is_test(path: Path) -> bool:
    of_tests = path.parts[0] == "tests" and path.parts[1] != "support"
    return of_tests or path.name.startswith("test_")


def vague_docstrings(source: Source) -> Iterator[str]:
    """Find docstrings that begin with a word which says nothing of what is returned or done."""
    documented = Function | ast.ClassDef | ast.Module
    for node in ast.walk(source.tree):
        text = ast.get_docstring(node) if isinstance(node, documented) else None
        if found := VAGUE.match(text or ""):
            line = getattr(node, "lineno", 1)
            yield f"{source.path}:{line} its docstring begins with {found.group()}: Return …, or an imperative"


def _public(scope: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    for node in scope.body:
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_"):
            if node.name not in OVERRIDES:
                yield node
            if isinstance(node, ast.ClassDef):
                yield from _public(node)


def ended_transactions(source: Source) -> Iterator[str]:
    """Find who begins or ends a transaction beside Database.write and Database.read."""
    if source.path.is_relative_to(OWNS_TRANSACTIONS):
        return
    calls = (node.func for node in ast.walk(source.tree) if isinstance(node, ast.Call))
    for called in calls:
        if isinstance(called, ast.Attribute) and called.attr in ENDS_TRANSACTIONS:
            yield (
                f"{source.path}:{called.lineno} calls {called.attr}(): "
                "Database.write begins and ends transactions (chassis/database)"
            )


def environment_reads(source: Source) -> Iterator[str]:
    """Find who reads the environment beside the settings."""
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
    """Find comments that silence a tool without naming a rule."""
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        if token.type == tokenize.COMMENT and (
            bare := BARE_IGNORE.search(token.string)
        ):
            yield f"{source.path}:{token.start[0]} `{bare.group()}` names no rule that it silences"


def unexplained_exceptions(source: Source) -> Iterator[str]:
    """Find exceptions from a rule of the security linter (bandit's) that do not say why."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if re.search(r"# noqa: (\w+, )*S\d+(?!.* - )", line):
            yield f"{source.path}:{number} does not say why this is secure"


def machine_paths(source: Source) -> Iterator[str]:
    """Find paths that exist on one machine only."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := MACHINE_PATH.search(line):
            yield f"{source.path}:{number} names a path of one machine: {line[found.start() :][:40]}"


def registry_hosts(source: Source) -> Iterator[str]:
    """Find hosts of package registries: which one is used is the machine's configuration."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := HOSTS.search(line):
            yield f"{source.path}:{number} names a package registry: {found.group()}"


def named_brokers(source: Source) -> Iterator[str]:
    """Find brokers that are named, even in a comment: only YAML names one."""
    for number, line in enumerate(source.text.splitlines(), 1):
        if found := BROKER.search(line):
            yield f"{source.path}:{number} names a broker: {found.group()}"


Rule = Callable[[Source], Iterator[str]]


def holds(rule: Rule, sources: Sequence[Source]) -> None:
    """Check that a rule is kept; list every breach with its place."""
    assert sources
    found = [breach for source in sources for breach in rule(source)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "rule",
    [long_functions, long_files, missing_docstrings, vague_docstrings, bare_ignores],
)
def test_all_python_is_short_and_documented(rule: Rule) -> None:
    holds(rule, python(*EVERYTHING))


def test_every_exception_from_a_security_rule_says_why() -> None:
    holds(unexplained_exceptions, python(*PRODUCTION, "toolchain", "verification"))


def test_transactions_begin_and_end_in_one_place() -> None:
    # In verification/ there are other programs beside ours, and a driver of databases of its own.
    holds(ended_transactions, python(*PRODUCTION, "tests"))


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
        (long_functions, "def f():\n" + "    pass\n" * LONGEST_FUNCTION),
        (long_files, "\n" * (LONGEST_FILE + 1)),
        (missing_docstrings, "x = 1"),
        (missing_docstrings, '"""Doc."""\ndef f(): ...'),
        (missing_docstrings, '"""Doc."""\nclass _C:\n    """Doc."""\nclass D: ...'),
        (
            missing_docstrings,
            '"""Doc."""\nclass C:\n    """Doc."""\n    def f(self): ...',
        ),
        (vague_docstrings, '"""Give an order."""'),
        (vague_docstrings, 'def f():\n    """Tell whether it is so."""'),
        (vague_docstrings, 'async def f():\n    """Let it leave."""'),
        (vague_docstrings, 'class C:\n    """Says that."""'),
        (ended_transactions, "def f(session): session.commit()"),
        (ended_transactions, "session.rollback()"),
        (ended_transactions, "with engine.begin() as c: ..."),
        (environment_reads, "import os\nx = os.environ['X']"),
        (environment_reads, "import os\nx = os.getenv('X')"),
        (environment_reads, "from os import environ as e"),
        (bare_ignores, "import os  # no" + "qa"),
        (bare_ignores, "# ruff: no" + "qa\n"),
        (bare_ignores, "x = 1  # type: " + "ignore"),
        (unexplained_exceptions, "x = eval(y)  # no" + "qa: S307"),
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
        (long_files, "\n" * LONGEST_FILE),
        (vague_docstrings, '"""Return whether letters are sayable."""'),
        (vague_docstrings, '"""Letters that nobody has replayed."""'),
        (vague_docstrings, "x = 'Give'"),
        (ended_transactions, "session.flush()"),
        (ended_transactions, "with session.begin_nested(): ..."),
        (environment_reads, "import os\nos.getpid()"),
        (bare_ignores, "import os  # noqa: F401\nx = 1  # type: ignore[misc]\n"),
        (machine_paths, "cd ~/work/x && ls build/tmp/x https://example.org/home/x"),
        (named_brokers, "redistribute what the broker denominates"),
        (registry_hosts, "pip and PyPI, crates, npm and Debian are words"),
    ],
)
def test_no_rule_complains_of_what_is_right(rule: Rule, text: str) -> None:
    assert list(rule(Source(Path("services/order/x.py"), text))) == []


def test_the_database_itself_begins_and_ends_transactions() -> None:
    source = Source(OWNS_TRANSACTIONS / "x.py", "session.commit()")

    assert list(ended_transactions(source)) == []


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("tests/order/test_x.py", 0),
        ("verification/chaos/test_x.py", 0),
        ("verification/chaos/x.py", 1),
        ("tests/support/x.py", 1),
    ],
)
def test_a_tests_name_is_its_documentation(path: str, found: int) -> None:
    source = Source(Path(path), '"""Doc."""\ndef test_x(): ...')

    assert len(list(missing_docstrings(source))) == found
