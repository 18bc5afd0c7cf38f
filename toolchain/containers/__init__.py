"""Containers: an engine where none runs, and images without a registry."""

from toolchain.containers.engine import Engine, running
from toolchain.containers.images import BASE, Image, build, provide_base

__all__ = [
    "BASE",
    "Engine",
    "Image",
    "build",
    "provide_base",
    "running",
]
