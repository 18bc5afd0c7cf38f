"""Whether an address is of this machine alone."""

from functools import lru_cache
from ipaddress import ip_address


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Return whether nobody but this machine reaches a host; a name other than localhost counts as another's."""
    address = host.strip("[]").partition("%")[0]
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address.lower() == "localhost"
