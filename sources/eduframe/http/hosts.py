"""Where the token may go: to one host, and over TLS unless that host is this machine."""

from urllib.parse import urlsplit

import httpx

from sources.eduframe.display import printable
from sources.eduframe.errors import SettingsError

LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}


def check_base_url(base_url: str) -> str:
    """The address without a trailing slash. Raises ``SettingsError`` unless the token is safe."""
    try:
        parts = urlsplit(base_url)
        httpx.URL(base_url)
        is_one = parts.scheme in ("http", "https") and bool(parts.hostname)
    except (ValueError, httpx.InvalidURL):
        is_one = False
    if not is_one:
        # what stands before an @ may be a password
        raise SettingsError(
            f"base_url is {printable(base_url.rpartition('@')[2])!r}, which is no web address. "
            "Set SOURCES__EDUFRAME__BASE_URL, for example https://api.eduframe.nl/api/v1."
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("base_url must hold no credentials, query or fragment.")
    if parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
        raise SettingsError(
            f"base_url would send the token to {parts.hostname} unencrypted: use https."
        )
    return base_url.rstrip("/")


def same_origin(url: str, other: str) -> bool:
    """Whether two addresses have one scheme, host and port, and neither a user name.

    They are read as the client reads them that connects: another parser may see another host.
    """
    try:
        one, two = httpx.URL(url), httpx.URL(other)
    except httpx.InvalidURL:
        return False
    return not (one.userinfo or two.userinfo) and _origin(one) == _origin(two)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme)


def host_of(url: str) -> str:
    """The host and port of an address, without user name and password, as far as there is one."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or "nowhere"
    except ValueError:
        return "nowhere"


def path_of(url: str) -> str:
    """An address for people: the path, without host and query."""
    try:
        return urlsplit(url).path
    except ValueError:
        return url
