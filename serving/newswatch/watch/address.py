"""The address guard: which URLs and network addresses a watcher may reach. Feeds are written by strangers."""

import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx

from newswatch_labels.errors import InputError

SCHEMES = ("http", "https")
MAX_URL = 2_000
MAX_PORT = 65_535
# Special ranges (IANA) that not every Python counts as private.
_SPECIAL4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
_SPECIAL6 = (IPv6Network("2001::/23"), IPv6Network("3fff::/20"))
_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


class RefusedError(InputError):
    """A URL that a watcher does not fetch, whoever asks for it."""


def check_url(url: str) -> httpx.URL:
    """Parse a URL that may be fetched, as far as its wording tells.

    Raises:
        RefusedError: it is no http or https URL, carries a user name or password, or is too long.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise RefusedError(f"URL {url!r:.200}: {error}", "an http or https URL", "Mend the URL.") from error
    if parsed.scheme not in SCHEMES or not parsed.host or (parsed.port or 1) > MAX_PORT:
        raise RefusedError(f"URL {url!r:.200}", "an http or https URL with a host", "Mend the URL.")
    if parsed.userinfo:
        raise RefusedError(f"URL with credentials at host {parsed.host}", "a URL without user name and password", "Leave them out.")
    if len(str(parsed)) > MAX_URL:
        raise RefusedError(f"URL {url[:80]!r}... of {len(url):,} characters", f"at most {MAX_URL:,}", "Leave it out.")
    return parsed


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address lies on the public internet; an IPv6 address that stands for an IPv4 one is judged by that."""
    if isinstance(address, IPv4Address):
        special = address.is_multicast or address.is_reserved or any(address in network for network in _SPECIAL4)
        return address.is_global and not special
    if address.ipv4_mapped or address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.sixtofour:
        return is_public(address.sixtofour)
    return address in _UNICAST and address.is_global and not any(address in network for network in _SPECIAL6)


class AddressGuard:
    """Resolves host names and refuses every address that is not public.

    Args:
        allowed_hosts: names or addresses, as they stand in the URL, that may be reached wherever they are.
    """

    def __init__(self, allowed_hosts: Iterable[str] = ()) -> None:
        self._allowed = {host.strip("[]").lower() for host in allowed_hosts}

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of `host`, all of them checked: connect to these and to no other, so that no second look-up can differ.

        Raises:
            RefusedError: it is no host's name, or one of its addresses is private, loopback, link-local, multicast, reserved or
                otherwise not public.
            OSError: the name cannot be resolved.
        """
        host = host.strip("[]").lower()
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:  # an empty label, or one of more than 63 characters
            raise RefusedError(f"host {host:.80}", "a host's name", "Check the address.") from error
        found = list(dict.fromkeys(str(entry[4][0]) for entry in entries))
        if host not in self._allowed:
            for address in found:
                if "%" in address or not is_public(ip_address(address)):
                    raise RefusedError(
                        f"host {host} at the address {address}", "a public address", f"If it is meant, allow it: --allow-host {host}"
                    )
        return found
