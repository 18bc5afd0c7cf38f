"""The machine that the project runs on: what is found and installed, and what the terminal shows."""

from toolchain.machine.machine import Machine, find, kind, this_machine

__all__ = ["Machine", "find", "kind", "this_machine"]
