"""Whether a request is local and not cross-site."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.types import Scope

from service.settings import is_loopback

# What a proxy or a tunnel adds. Behind one, everybody seems to be on this machine.
_OF_PROXIES = frozenset(
    {
        b"cdn-loop",
        b"cf-connecting-ip",
        b"client-ip",
        b"forwarded",
        b"true-client-ip",
        b"via",
        b"x-client-ip",
        b"x-cluster-client-ip",
        b"x-original-forwarded-for",
        b"x-real-ip",
    }
)
_ALSO_OF_PROXIES = b"x-forwarded-"
# What browsers say of a request that our own page, or a person alone, has made.
_OUR_SITES = frozenset({b"same-origin", b"none"})


def why_not_local(scope: Scope) -> str | None:
    """Why it is not local: the peer, the host name, or a proxy; None if it is.

    The peer address alone is not enough: a web page elsewhere can have its name resolved to
    127.0.0.1, and a proxy that uses HTTP/1.0 may not add a header.
    """
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    if scope.get("http_version") == "1.0":
        return "this request came with HTTP/1.0, as a proxy sends it"
    if (passed_on := next(filter(_is_of_a_proxy, headers), None)) is not None:
        return f"this request has the header {passed_on.decode('latin-1')}, which a proxy adds"
    if not is_loopback(scope["client"][0] if scope.get("client") else ""):
        return "this request came from another machine"
    if not headers.get(b"host"):
        return "this request has no Host header"
    if not is_loopback(_name_of(headers[b"host"].decode("latin-1"))):
        return "the Host header of this request names another machine"
    return None


def is_from_other_site(scope: Scope, own_host: str = "") -> bool:
    """Whether a browser says that a page of another site sent this.

    `own_host` is the host under which people reach the page; a proxy may not forward it.
    """
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    if headers.get(b"sec-fetch-site", b"none") not in _OUR_SITES:
        return True
    origin = headers.get(b"origin")
    if origin is None:
        return False
    host = origin.partition(b"//")[2].decode("latin-1")
    return host not in {headers.get(b"host", b"").decode("latin-1"), own_host} or not host


def _is_of_a_proxy(header: bytes) -> bool:
    return header in _OF_PROXIES or header.startswith(_ALSO_OF_PROXIES)


def _name_of(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
