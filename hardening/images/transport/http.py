"""HTTP as registries and lookaside servers are asked: with bounds on every size and time, and with credentials for nobody
but the host that they belong to.

Redirects are followed here and not by the library, so that a token never goes along to another host, and nothing from HTTPS
to plain HTTP. Which host an address means is read as the library reads it that connects there; an address that others could
read in another way is refused. Whatever goes wrong is an `ImageError` that names the host and says nothing of what was sent.
"""

from __future__ import annotations

import os
import re
import ssl
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

import attrs

from hardening import __version__
from hardening.base import places
from hardening.base.values import frozen
from hardening.errors import ImageError
from hardening.images.transport.watch import Watch

if TYPE_CHECKING:
    import socket

    import urllib3

CHUNK = 1 << 18
#: Where certificates of single hosts lie (containers-certs.d(5)); the caller's own directory goes first.
CERTIFICATES = ("/etc/containers/certs.d", "/etc/docker/certs.d")
_REDIRECTS = (301, 302, 303, 307, 308)
#: The letters of an address (RFC 3986): neither spaces, nor a backslash, which some take for a slash, nor others than ASCII.
_PLAIN = re.compile(r"[!-\[\]-~]+")
_AGENT = f"hardening/{__version__}"


class NoTls(ImageError):
    """Somebody answers, and does not speak TLS."""


@frozen
class TransferBounds:
    """How long is waited, in seconds, and how much is read. An answer has to begin within ``document``, all of one goes into
    that where it is a document, and a download has to bring ``slowest`` bytes a second on the average of each ``window``.
    """

    connect: float = 15
    read: float = 30
    document: float = 60
    window: float = 60
    slowest: int = 1024
    redirects: int = 5


@frozen(eq=False)
class Response:
    """The answer to a request: ``url`` is the one that was asked at last. Its body is read with `Client.whole` or
    `Client.pieces`, once."""

    status: int
    headers: Mapping[str, str]
    url: str
    body: urllib3.BaseHTTPResponse = attrs.field(repr=False)
    watch: Watch = attrs.field(repr=False)

    @property
    def host(self) -> str:
        """Who answered."""
        return urlsplit(self.url).netloc


class Client:
    """Asks servers. With ``verify`` False certificates are not checked, and plain HTTP is permitted."""

    def __init__(self, *, verify: bool = True, bounds: TransferBounds | None = None) -> None:
        self.verify = verify
        self.bounds = bounds or TransferBounds()

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str], *, secret: str = "") -> Iterator[Response]:
        """Ask for ``url``. ``secret`` is the value of an ``Authorization`` header, which no other scheme, host or port ever
        gets. Raises `ImageError` where nobody answers, or where too many redirects lead on."""
        first = origin(url)
        for _ in range(self.bounds.redirects + 1):
            own = {"Authorization": secret} if secret and origin(url) == first else {}
            with self._ask("GET", url, {"User-Agent": _AGENT, **headers, **own}) as answer:
                target = answer.headers.get("location", "") if answer.status in _REDIRECTS else ""
                if not target:
                    yield answer
                    return
            url = self._next(url, target)
        raise _failed(url, "too many redirects", "the server is misconfigured")

    @contextmanager
    def post(self, url: str, fields: Mapping[str, str]) -> Iterator[Response]:
        """Send a form; redirects are not followed. Raises `ImageError`."""
        from urllib.parse import urlencode

        form = {"User-Agent": _AGENT, "Content-Type": "application/x-www-form-urlencoded"}
        with self._ask("POST", url, form, urlencode(fields)) as answer:
            yield answer

    def whole(self, answer: Response, most: int, what: str) -> bytes:
        """The body of at most ``most`` bytes, within the time for a document. Raises `ImageError`."""
        end = time.monotonic() + self.bounds.document
        answer.watch.until(end)
        parts: list[bytes] = []
        size = 0
        for piece in self._read(answer):
            size += len(piece)
            if size > most:
                raise _failed(
                    answer.url, f"sends more than {most} bytes as {what}", "this is not a registry, or a hostile one"
                )
            parts.append(piece)
        return b"".join(parts)

    def pieces(self, answer: Response) -> Iterator[bytes]:
        """The body as it comes. Raises `ImageError` for one that comes too slowly, or breaks off."""
        begun, got = time.monotonic(), 0
        for piece in self._read(answer, self.bounds.window + self.bounds.read):
            got += len(piece)
            passed = time.monotonic() - begun
            if passed > self.bounds.window:
                if got < self.bounds.slowest * passed:
                    raise _failed(answer.url, f"too slow: {int(got / passed)} bytes a second", "try again later")
                begun, got = time.monotonic(), 0
            yield piece

    def _read(self, answer: Response, patience: float | None = None) -> Iterator[bytes]:
        """The pieces of a body; with ``patience`` each has so many seconds, whatever is sent between them."""
        import urllib3

        try:
            while True:
                if patience is not None:
                    answer.watch.until(time.monotonic() + patience)
                piece = answer.body.read1(CHUNK, decode_content=False)
                if answer.watch.expired:
                    raise _late(answer.url)
                if not piece:
                    return
                yield piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if answer.watch.expired:
                raise _late(answer.url) from None
            raise _failed(answer.url, _reason(error), "try again later") from None

    @contextmanager
    def _ask(self, method: str, url: str, headers: Mapping[str, str], body: str | None = None) -> Iterator[Response]:
        import urllib3

        origin(url)
        watch = Watch(self.bounds.document)
        pool = self._pool(url)
        pool.pool_classes_by_scheme = _watched(watch)
        timeout = urllib3.Timeout(connect=self.bounds.connect, read=self.bounds.read)
        with watch:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # who says --tls-verify=false knows that nothing is verified
                    response = pool.request(
                        method, url, body=body, headers=dict(headers), timeout=timeout, retries=False, redirect=False,
                        preload_content=False, decode_content=False,
                    )  # fmt: skip
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise _late(url) if watch.expired else _unreached(url, error) from None
            try:
                lower = {key.lower(): value for key, value in response.headers.items()}
                yield Response(response.status, lower, url, response, watch)
            finally:
                response.close()
                pool.connection_from_url(url).close()  # what `clear` forgets is closed when it is collected

    def _pool(self, url: str) -> urllib3.PoolManager:
        import urllib3

        parts = urlsplit(url)
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise _failed(url, "invalid URL", "write https://")
        if parts.scheme == "http" and self.verify:
            raise _failed(url, "plain HTTP is refused", "--tls-verify=false permits it")
        context = self._context(parts.netloc) if parts.scheme == "https" else None
        proxy = _proxy(parts.scheme, parts.netloc)
        if proxy:
            known = urlsplit(proxy)
            secret = f"{unquote(known.username)}:{unquote(known.password or '')}" if known.username else None
            headers = urllib3.make_headers(proxy_basic_auth=secret) if secret else None
            return urllib3.ProxyManager(proxy, ssl_context=context, num_pools=1, proxy_headers=headers)
        return urllib3.PoolManager(ssl_context=context, num_pools=1)

    def _context(self, host: str) -> ssl.SSLContext:
        for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):  # which OpenSSL reads
            places.named(os.environ, name)
        context = ssl.create_default_context()
        # On since Python 3.13, and stricter than podman and curl: it wants `keyUsage` of an authority, which few have.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for folder in certificate_folders(host, os.environ):
            _load(context, folder)
        return context

    def _next(self, url: str, target: str) -> str:
        _require_plain(target, url)
        try:
            following = urljoin(url, target)
        except ValueError:
            raise _no_address(url) from None
        origin(following)
        if urlsplit(url).scheme == "https" and urlsplit(following).scheme != "https":
            raise _failed(
                url,
                f"redirects to {urlsplit(following).scheme}://, which is not encrypted",
                "report this to its operator",
            )
        return following


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, as the library connects to them: what credentials belong to. Raises `ImageError` for an address
    that is none, or that another reader takes for another host's."""
    import urllib3

    _require_plain(url)
    try:
        parts = urllib3.util.parse_url(url)
        others = urlsplit(url)
        read = (others.scheme, (others.hostname or "").strip("[]"), others.port)
    except (ValueError, urllib3.exceptions.LocationParseError):
        raise _no_address(url) from None
    scheme, host = parts.scheme or "", (parts.host or "").strip("[]")
    if parts.auth is not None or "@" in others.netloc or (scheme, host, parts.port) != read:
        raise _no_address(url)
    return scheme, host, parts.port or {"https": 443, "http": 80}.get(scheme)


def _require_plain(text: str, url: str = "") -> None:
    """Raise `ImageError` for an address, sent by ``url``, that programs read in several ways."""
    if not _PLAIN.fullmatch(text):
        raise _no_address(url or text)


def _no_address(url: str) -> ImageError:
    return _failed(url, "invalid URL, or a redirect to one", "write https://HOST")


def _watched(watch: Watch) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """The library's pools, with connections that a watch is shown as they are made."""
    import urllib3
    from urllib3.connection import HTTPConnection, HTTPSConnection

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            watch.see(made)
            return made

    class Secured(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            made = super()._new_conn()
            watch.see(made)
            return made

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecuredPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secured

    return {"http": PlainPool, "https": SecuredPool}


def certificate_folders(host: str, environment: Mapping[str, str]) -> list[Path]:
    """The directories with certificates for ``host[:port]`` that there are."""
    if "/" in host or host in ("", ".", ".."):
        return []
    folders = (_own_certificates(environment), *CERTIFICATES)
    return [folder for place in folders if place is not None and (folder := Path(place) / host).is_dir()]


def _own_certificates(environment: Mapping[str, str]) -> str | None:
    config = places.xdg(environment, "XDG_CONFIG_HOME")
    return None if config is None else f"{config}/containers/certs.d"


def _load(context: ssl.SSLContext, folder: Path) -> None:
    """``*.crt`` are authorities; ``*.cert`` and the ``*.key`` beside it are for the client itself."""
    for path in sorted(folder.iterdir()):
        try:
            if path.suffix == ".crt":
                context.load_verify_locations(path)
            elif path.suffix == ".cert":
                context.load_cert_chain(path, path.with_suffix(".key"))
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or error.strerror or "no certificate"
            raise ImageError(f"cannot be used: {reason}", origin=path, hint="see containers-certs.d(5)") from None


def _proxy(scheme: str, host: str) -> str | None:
    from urllib.request import getproxies, proxy_bypass

    return None if proxy_bypass(host) else getproxies().get(scheme)


def _late(url: str) -> ImageError:
    return _failed(url, "timed out", "try again later; it may be hostile, or overloaded")


def _unreached(url: str, error: Exception) -> ImageError:
    import urllib3

    reason = _first(error)
    if isinstance(reason, ssl.SSLCertVerificationError):
        folder = (_own_certificates(os.environ) if os.geteuid() else None) or CERTIFICATES[0]
        return _failed(
            url,
            f"certificate verify failed: {reason.verify_message}",
            f"put the authority's certificate into {folder}/{urlsplit(url).netloc}/ca.crt",
        )
    if isinstance(reason, ssl.SSLError):
        problem = f"TLS handshake failed: {reason.reason or reason}"
        return _failed(url, problem, "--tls-verify=false permits plain HTTP", kind=NoTls)
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # which the library counts as a timeout
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return _failed(url, "timed out", "try again later, and check the network")
    return _failed(url, _reason(reason), "check the name, the network and the proxy")


def _first(error: BaseException) -> BaseException:
    """What the library's own errors are wrapped around."""
    import urllib3

    while isinstance(error, urllib3.exceptions.HTTPError):
        inner = [item for item in (*error.args, error.__cause__, error.__context__) if isinstance(item, BaseException)]
        if not inner:
            break
        error = inner[0]
    return error


def _reason(error: BaseException) -> str:
    import urllib3

    if isinstance(error, urllib3.exceptions.ReadTimeoutError):
        return "timed out in the middle of a response"
    if isinstance(error, urllib3.exceptions.ProtocolError | urllib3.exceptions.IncompleteRead):
        return "connection closed in the middle of a response"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be reached: {error.strerror}"
    return "cannot be reached"


def _failed(url: str, problem: str, hint: str, kind: type[ImageError] = ImageError) -> ImageError:
    return kind(problem, origin=_host_of(url), hint=hint)


def _host_of(url: str) -> str:
    """What an address is called in messages: without what may be secret in it, and without what a terminal acts on."""
    if not _PLAIN.fullmatch(url):
        return ascii(url[:100].rpartition("@")[2])
    try:
        return urlsplit(url).netloc.rpartition("@")[2] or url
    except ValueError:
        return url[:100].rpartition("@")[2]
