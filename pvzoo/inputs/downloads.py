"""Download the bytes at a web address, with limits on size, time and, optionally, the host.

A server that takes addresses from strangers must not fetch what only the server can reach: other
services on its machine or network, or the metadata service of a cloud (server-side request
forgery). With ``public=True``, the IP address is checked when the connection is made, so neither a
redirect nor a name server that answers differently the second time can get around the check.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import Future
from typing import Any

from pvzoo.inputs.limits import too_many_bytes
from pvzoo.inputs.names import Refuse


def download(
    url: str, refuse: Refuse, *, max_bytes: int, seconds: float, public: bool = False
) -> bytes:
    """Return the bytes at `url`, or raise an error within `seconds`.

    The download runs in its own thread, because the timeout of a socket limits neither the name
    server nor a server that sends its headers one byte at a time.

    Args:
        url: An address that begins with ``http://`` or ``https://``.
        refuse: Makes the errors.
        max_bytes: Most bytes to read.
        seconds: Most seconds from start to end.
        public: Whether to refuse hosts that are not on the public internet. If so, proxies of the
            environment are not used.

    Raises:
        ImageError: Made by `refuse`.
    """
    answer: Future[bytes] = Future()
    deadline = time.monotonic() + seconds

    def work() -> None:
        try:
            answer.set_result(_fetch(url, refuse, max_bytes, deadline, public))
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=work, name="pvzoo-download", daemon=True).start()
    try:
        return answer.result(timeout=seconds)
    except urllib.error.HTTPError as error:
        error.close()
        reason = " ".join(str(error.reason).split())
        raise refuse(f"answered {error.code} {reason}.", "Check the address.") from error
    except _NotPublicError as error:
        raise refuse(
            "is not on the public internet.", "Download it yourself and pass the file."
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        cause = getattr(error, "reason", error)
        if isinstance(cause, TimeoutError):
            raise refuse(
                f"did not arrive within {seconds:g} seconds.",
                "Try again, or download it yourself and pass the file.",
            ) from error
        reason = str(cause)[:300]
        raise refuse(
            f"could not be downloaded ({reason}).", "Check the address and the network."
        ) from error


def _fetch(url: str, refuse: Refuse, max_bytes: int, deadline: float, public: bool) -> bytes:
    plain = urllib.parse.quote(url.strip(), safe="!#$%&'()*+,/:;=?@[]~")  # as browsers do
    request = urllib.request.Request(plain, headers={"User-Agent": "pvzoo", "Accept": "image/*"})
    handlers = [_WebOnly, *(_PUBLIC if public else ())]
    opener = urllib.request.build_opener(*handlers)
    with opener.open(request, timeout=max(0.1, deadline - time.monotonic())) as answer:
        kind = answer.headers.get_content_type()
        if kind in ("text/html", "application/xhtml+xml"):
            raise refuse(
                f"is a web page ({kind}), not an image.", "Pass the address of the image itself."
            )
        length = answer.headers["Content-Length"]
        expected = int(length) if length else None
        if expected is not None and expected > max_bytes:
            raise refuse(*too_many_bytes(f"{expected:,} bytes", max_bytes))
        chunks, size = [], 0
        # read1 returns what has arrived, so even a slow server cannot pass the deadline
        while size != expected and (chunk := answer.read1(1 << 16)):
            chunks.append(chunk)
            size += len(chunk)
            if size > max_bytes:
                raise refuse(*too_many_bytes(f"at least {size:,} bytes", max_bytes))
            if time.monotonic() > deadline:
                raise TimeoutError
    if expected is not None and size < expected:
        raise refuse(f"broke off after {size:,} of {expected:,} bytes.", "Try again.")
    return b"".join(chunks)


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https addresses only."""

    def redirect_request(
        self, req: Any, fp: Any, code: int, msg: str, headers: Any, url: str
    ) -> Any:
        if not url.startswith(("http://", "https://")):
            raise urllib.error.URLError(f"redirected to {url}, which is not a web address")
        return super().redirect_request(req, fp, code, msg, headers, url)


# --- public hosts only ----------------------------------------------------------------------------


class _NotPublicError(Exception):
    """Not an OSError, because urllib would wrap an OSError."""


def is_public(host: str) -> bool:
    """Whether an IP address is on the public internet.

    If an IPv6 address contains an IPv4 address (mapped, 6to4, NAT64), that one decides.
    """
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052


def _connect(
    address: tuple[str, int], timeout: Any = None, source_address: Any = None
) -> socket.socket:
    """`socket.create_connection`, for public addresses only: it checks what it connects to."""
    failure: OSError | None = None
    for family, kind, protocol, _, index in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
        if not is_public(str(index[0])):
            raise _NotPublicError
        link = socket.socket(family, kind, protocol)
        try:
            link.settimeout(timeout)
            link.connect(index)
        except OSError as error:
            link.close()
            failure = error
        else:
            return link
    raise failure or OSError(f"no address for {address[0]}")


class _PublicConnection(http.client.HTTPConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect


class _PublicTLSConnection(http.client.HTTPSConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._create_connection = _connect


class _PublicHTTP(urllib.request.HTTPHandler):
    def http_open(self, req: Any) -> Any:
        return self.do_open(_PublicConnection, req)


class _PublicHTTPS(urllib.request.HTTPSHandler):
    def https_open(self, req: Any) -> Any:
        return self.do_open(_PublicTLSConnection, req, context=ssl.create_default_context())


_PUBLIC = (_PublicHTTP, _PublicHTTPS, urllib.request.ProxyHandler({}))
