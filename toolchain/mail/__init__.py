"""Mail for the project: the server that answers, else one that keeps every mail and delivers none."""

from toolchain.mail.provision import provide, server_in

__all__ = ["provide", "server_in"]
