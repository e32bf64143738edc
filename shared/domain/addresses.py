"""Addresses that others tell us, judged before and while we connect to them.

An address is input from outside. Followed naively it makes a function a door into its own
network (server-side request forgery).
"""

import ipaddress
from collections.abc import Iterable

DEFAULT_PORTS = {"https": 443, "http": 80}

type Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Ways to write an IPv4 address as an IPv6 one, by which a private one could be reached.
_CARRIERS = tuple(
    map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16"))
)


def is_public(text: str) -> bool:
    """Tell whether an address belongs to the public internet.

    >>> [is_public(a) for a in ("93.184.216.34", "10.0.0.1", "::ffff:127.0.0.1")]
    [True, False, False]
    """
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address.is_site_local or any(address in network for network in _CARRIERS):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_numeric(host: str) -> bool:
    """Tell whether a host is an address and not a name, however the address is written.

    Resolvers read `127.1`, `2130706433` and `0x7f.1` as addresses too. No name ends in a number.
    Source: URL Standard, "ends in a number checker", read 2026-11-26.

    >>> is_numeric("127.0.0.1"), is_numeric("::1"), is_numeric("cdn.example.com")
    (True, True, False)
    >>> is_numeric("2130706433"), is_numeric("0x7f.1"), is_numeric("127.0.0.1.")
    (True, True, True)
    """
    last = host.rstrip(".").rpartition(".")[2].lower()
    digits = last.removeprefix("0x")
    is_hex = digits != last and all(letter in "0123456789abcdef" for letter in digits)
    return ":" in host or is_hex or last.isdigit()


def is_allowed(host: str, port: int, scheme: str, hosts: Iterable[str]) -> bool:
    """Tell whether a list of `host`, `host:port` and `.suffix` entries allows a host.

    Without a port, an entry allows the scheme's own port only.

    >>> is_allowed("cdn.pikcel.ai", 443, "https", [".pikcel.ai"])
    True
    >>> is_allowed("evilpikcel.ai", 443, "https", [".pikcel.ai"])
    False
    """
    for entry in hosts:
        name, separator, wanted = entry.rpartition(":")
        if not separator:
            name, wanted = entry, str(DEFAULT_PORTS[scheme])
        fits = host.endswith(name) and host != name if name.startswith(".") else host == name
        if fits and str(port) == wanted:
            return True
    return False
