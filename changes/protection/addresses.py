"""How callers are told apart by their addresses, where they are counted."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

# The part of an IPv6 address that names a network. A customer of a provider has the whole of it.
NETWORK = 64


def is_loopback(address: str) -> bool:
    """Whether it is this machine's own address. That of a connection over a Unix socket, "", counts as such."""
    try:
        return not address or ip_address(address).is_loopback
    except ValueError:
        return False


def counted(address: str) -> str:
    """The address to count a caller under: an IPv4 address itself, and of an IPv6 address its network."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address) or parsed.ipv4_mapped or parsed.is_loopback:
        return address
    network = int(parsed) >> (128 - NETWORK) << (128 - NETWORK)
    return f"{IPv6Address(network)}/{NETWORK}"
