"""The machine that the project runs on: what is found, what is installed, and what is said of it."""

from toolchain.machine.machine import Machine, find, kind, this_machine

__all__ = ["Machine", "find", "kind", "this_machine"]
