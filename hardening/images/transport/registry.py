"""Images of a registry (OCI distribution spec; docker's token authentication, RFC 6750 and RFC 7617 for challenges)."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlencode

from hardening.base.state import logins
from hardening.errors import HardeningError, ImageError, ImageMissing, quoted
from hardening.images import media
from hardening.images.media import Descriptor
from hardening.images.reference import DEFAULT_HOST, Name, Reference
from hardening.images.transport import auth
from hardening.images.transport.auth import Credentials
from hardening.images.transport.http import Client, NoTls, Response, TransferBounds, origin
from hardening.images.transport.source import Source

_DOCKER_IO = "registry-1.docker.io"
_MAX_TOKEN = 1 << 20
_MAX_CHALLENGE = 4096
_PARAMETER = re.compile(r'([a-zA-Z_]+)="([^"]*)"|([a-zA-Z_]+)=([^\s",]+)')


class Registry(Source):
    """One image of a registry."""

    def __init__(
        self, named: Reference, client: Client, credentials: Credentials | None, logins: tuple[str, ...]
    ) -> None:
        """``logins`` are the files in which the credentials were looked for."""
        self._logins = logins
        self._named = named
        self._client = client
        self._credentials = credentials
        self._secret = ""
        self._scheme = "https"
        self._host = _DOCKER_IO if named.host == DEFAULT_HOST else named.host

    @classmethod
    def of(
        cls, name: Name, environment: Mapping[str, str], uid: int, *, verify: bool, bounds: TransferBounds | None
    ) -> Registry:
        """The image of a ``docker://`` name. Raises `ImageError` for credentials that cannot be read."""
        if name.docker is None:
            raise ValueError(f"{name} is in no registry")
        client = Client(verify=verify, bounds=bounds)
        return cls(name.docker, client, auth.find(name.docker, environment, uid), logins(environment, uid))

    def manifest(self) -> tuple[bytes, str]:
        return self._manifest(self._named.digest or self._named.tag)

    def instance(self, chosen: Descriptor) -> bytes:
        return self._manifest(chosen.digest)[0]

    def blob(self, wanted: Descriptor) -> Generator[bytes, None, None]:
        with self._get(f"blobs/{wanted.digest}", "application/octet-stream") as answer:
            self._require(answer, f"the blob {wanted.digest}")
            yield from self._client.pieces(answer)

    def _manifest(self, reference: str) -> tuple[bytes, str]:
        with self._get(f"manifests/{reference}", ", ".join(media.ACCEPTED)) as answer:
            self._require(answer, str(self._named))
            data = self._client.whole(answer, media.MAX_MANIFEST, "a manifest")
            said = answer.headers.get("docker-content-digest", "")
            if ":" not in reference and said.startswith("sha256:") and said != media.digest_of(data):
                raise self._wrong(f"digest mismatch: the manifest is not the announced {said}", "pull it again")
            return data, answer.headers.get("content-type", "").partition(";")[0].strip()

    @contextmanager
    def _get(self, path: str, accepted: str) -> Iterator[Response]:
        """Ask for something of the repository, and where the registry wants to know who asks, once more with an answer."""
        headers = {"Accept": accepted}
        for last in (False, True):
            with self._ask(f"/v2/{self._named.path}/{path}", headers) as answer:
                # What a registry's storage wants to know is no business of the registry's credentials.
                if answer.status != 401 or last or not self._is_own(answer):
                    yield answer
                    return
                challenge = answer.headers.get("www-authenticate", "")
            self._secret = self._answer(challenge)

    @contextmanager
    def _ask(self, path: str, headers: Mapping[str, str]) -> Iterator[Response]:
        """With --tls-verify=false a registry that has no TLS is asked without."""
        with ExitStack() as opened:
            try:
                answer = opened.enter_context(self._client.get(self._url(path), headers, secret=self._secret))
            except NoTls:
                if self._client.verify or self._scheme == "http":
                    raise
                self._scheme = "http"
                answer = opened.enter_context(self._client.get(self._url(path), headers, secret=self._secret))
            yield answer

    def _url(self, path: str) -> str:
        return f"{self._scheme}://{self._host}{path}"

    def _is_own(self, answer: Response) -> bool:
        """Whether the registry itself has answered, and no other host that it has led to."""
        return origin(answer.url) == origin(self._url("/"))

    def _answer(self, challenge: str) -> str:
        """The value of the ``Authorization`` header that a challenge asks for. Raises `ImageError`."""
        if len(challenge) > _MAX_CHALLENGE:
            raise self._wrong(
                f"the authentication challenge is longer than {_MAX_CHALLENGE} characters",
                "report this to its operator",
            )
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            if self._credentials is None or not self._credentials.user:
                raise self._refused()
            return self._credentials.basic
        if kind.lower() != "bearer":
            raise self._wrong("unsupported authentication scheme", "pull it with skopeo, and name oci:DIR")
        said = {match[1] or match[3]: match[2] or match[4] or "" for match in _PARAMETER.finditer(rest)}
        realm = said.get("realm", "")
        scheme = realm.partition(":")[0].lower()
        if scheme != "https" and not (self._scheme == scheme == "http"):
            raise self._wrong("the token service does not use HTTPS", "report this to its operator")
        return f"Bearer {self._token(realm, said.get('service', ''))}"

    def _token(self, realm: str, service: str) -> str:
        scope = f"repository:{self._named.path}:pull"
        known = self._credentials
        if known is not None and known.token:
            fields = {
                "grant_type": "refresh_token", "refresh_token": known.token, "service": service, "scope": scope,
                "client_id": "hardening",
            }  # fmt: skip
            with self._client.post(realm, fields) as answer:
                return self._read_token(answer)
        query = urlencode({"scope": scope, **({"service": service} if service else {})})
        url = f"{realm}{'&' if '?' in realm else '?'}{query}"
        with self._client.get(url, {}, secret=known.basic if known is not None else "") as answer:
            return self._read_token(answer)

    def _read_token(self, answer: Response) -> str:
        if answer.status in (401, 403):
            raise self._refused()
        if answer.status != 200:
            raise self._wrong(f"the token service {answer.host} returned {answer.status}", "try again later")
        document = media.parse(self._client.whole(answer, _MAX_TOKEN, "a token"), answer.host)
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._wrong(f"the token service {answer.host} returned no token", "report this to its operator")
        return token

    def _require(self, answer: Response, what: str) -> None:
        """Raise `ImageError` with what the registry says unless it gives what was asked for."""
        if answer.status == 200:
            return
        if answer.status in (401, 403):
            if not self._is_own(answer):
                raise self._wrong(
                    f"redirects to {answer.host}, which denies access ({answer.status})",
                    "try again later, or report this to its operator",
                )
            raise self._refused()
        if answer.status == 404:
            raise ImageMissing(
                f"has no {what.removeprefix('the ')}",
                origin=self._named.host,
                hint="check the repository, the tag and its spelling",
            )
        if answer.status == 429:
            raise self._wrong("rate limited (429)", "wait, or log in: podman login")
        raise self._wrong(
            f"returned {answer.status}{self._said(answer)} for {what}",
            "try again later, or report this to its operator",
        )

    def _said(self, answer: Response) -> str:
        """The registry's own words, as far as they can be shown."""
        try:
            document: Any = media.parse(self._client.whole(answer, _MAX_TOKEN, "an error"), answer.host)
            text = str(document["errors"][0]["message"])
        except (HardeningError, KeyError, IndexError, TypeError):
            return ""
        shown = "".join(letter for letter in text if letter.isprintable())[:120]
        return f" ({shown})" if shown else ""

    def _refused(self) -> ImageError:
        if self._credentials is None:
            places = ", ".join(self._logins)
            hint = f"log in: podman login {quoted(self._named.host)}; no login is in {places}"
            return self._wrong(f"authentication required for {self._named.path}", hint)
        hint = f"log in again, or ask its owner for the right to pull: podman login {quoted(self._named.host)}"
        return self._wrong(f"access denied: these credentials may not pull {self._named.path}", hint)

    def _wrong(self, problem: str, hint: str) -> ImageError:
        return ImageError(problem, origin=self._named.host, hint=hint)
