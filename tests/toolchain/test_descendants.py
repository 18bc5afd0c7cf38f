"""Which part a process keeps running, by name, also right after it was killed."""

import os
import subprocess
from pathlib import Path

from tests.support.eventually import within
from toolchain.supervise import descendants


def test_a_supervisor_that_was_killed_keeps_the_name_of_its_part() -> None:
    environment = {**os.environ, "APP_ID": "order"}
    supervisor = subprocess.Popen(["sleep", "60"], env=environment)
    try:
        before = descendants.parts(os.getpid(), {})
        assert before[supervisor.pid] == "order"

        supervisor.kill()
        within(60, lambda: _is_unnamed(supervisor.pid), "it has no command line")

        assert descendants.parts(os.getpid(), before)[supervisor.pid] == "order"
    finally:
        supervisor.kill()
        supervisor.wait()


def _is_unnamed(pid: int) -> bool:
    return not Path(f"/proc/{pid}/cmdline").read_text()
