"""`plugins/hardening_trust/commands/export.py`: skopeo and podman read it; what they refuse as a whole is refused before."""

from __future__ import annotations

import json
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hardening import cli
from hardening_trust import policy
from tests.plugins.trust.policies import DIGEST, ID
from tests.plugins.trust.test_policy_peers import message
from tests.support.sample import is_whole

LONG = "a" * 238
#: Names that are made of these are those of images, and of none.
HOSTS = (
    "docker.io",
    "a.example.com:5000",
    "localhost",
    "Foo.example",
    "Foo",
    "foo",
    "[::1]:5000",
    "-a.b",
    "index.docker.io",
    "",
)
PATHS = ("busybox", "ns/r", "library", "Foo", "bar__b/c-d", "a//b", LONG, "a" * 244, "_", "")
ENDS = ("", ":1", ":latest", f"@{DIGEST}", f":1@{DIGEST}", f"@{ID}", "@sha256:ab", ":-", "@")
#: Scopes that any transport may be given.
PLACES = (
    "", "/", "/srv/x", "/srv/x:tag", "/srv/../x", "/srv//x", "relative", ID, DIGEST, f"sha512:{ID}{ID}",
    "[", "[]", "[relative]", "[/s]", "[/s]b", "[o@/s]", "[o@s]", "[o@/s]b:1@", "h/n/s:t", "h/n/s/u", "h/n:t", "*.a.b",
    "é\u2028\"\\",
)  # fmt: skip
TRANSPORTS = (
    "docker", "docker", "docker-daemon", "atomic", "containers-storage", "dir", "oci", "oci-archive", "docker-archive",
    "tarball", "ostree", "sif",
)  # fmt: skip


class Made:
    """A policy that is made up: the same one for the same number, half of them with nothing in it that is refused."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)
        #: How likely something odd is at each place.
        self._odd = self._random.choice((0.0, 0.0, 0.02, 0.1))

    def text(self) -> str:
        """A profile."""
        tables: dict[str, dict[str, object]] = {}
        for _ in range(self._random.randrange(6)):
            transport, scope = self._scope()
            tables.setdefault(transport, {})[scope] = self._required()
        lines = ["[trust]", f"default = {inline(self._required())}"]
        for transport, found in tables.items():
            lines.append(f"[trust.{transport}]")
            lines += [f"{inline(scope)} = {inline(value)}" for scope, value in found.items()]
        return "\n".join(lines) + "\n"

    def _pick(self, *good: Any, odd: tuple[Any, ...] = ()) -> Any:
        return self._random.choice(odd if odd and self._random.random() < self._odd else good)

    def _name(self, *ends: str) -> str:
        host = self._pick("docker.io", "a.example.com:5000", "localhost", "Foo.example", odd=HOSTS)
        path = self._pick("busybox", "ns/r", "bar__b/c-d", odd=PATHS)
        return "/".join(filter(None, (host, path))) + str(self._pick(*ends, odd=ENDS))

    def _scope(self) -> tuple[str, str]:
        transport = self._pick(*TRANSPORTS)
        if transport in ("docker", "docker-daemon"):
            return transport, self._pick("", self._name("", ":1"), odd=(*PLACES, self._name("")))
        if transport == "atomic":
            return transport, self._pick("", "h:5000", "h:5000/ns/stream:tag", odd=PLACES)
        if transport == "containers-storage":
            name = self._name("", ":1", f"@{DIGEST}", f"@{DIGEST}@{ID}")
            return transport, self._pick(f"[/s]{name}", f"[overlay@/s]{name}", "[/s]", "", odd=PLACES)
        if transport in ("docker-archive", "tarball"):
            return transport, self._pick("", odd=PLACES)
        return transport, self._pick("", "/srv/x", "/srv", odd=PLACES)

    def _required(self) -> object:
        several = [self._one() for _ in range(self._random.choice((1, 1, 1, 2, 3)))]
        return several if len(several) > 1 else several[0]

    def _one(self) -> object:
        kind = self._random.choice(
            ("accept", "reject", "signedBy", "signedBy", "sigstoreSigned", "sigstoreSigned", "base")
        )
        if kind in ("accept", "reject"):
            return kind
        if kind == "base":
            return {"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}
        table = self._signed() if kind == "signedBy" else self._sigstore()
        if self._random.random() < 0.7:
            table["signedIdentity"] = self._identity()
        return table

    def _signed(self) -> dict[str, object]:
        keys: tuple[dict[str, object], ...] = (
            {"keyPath": "/a.gpg"},
            {"keyPaths": ["/b.gpg", "/a.gpg"]},
            {"keyPaths": []},
            {"keyData": "YQ=="},
        )
        odd: tuple[dict[str, object], ...] = {"keyPath": ""}, {"keyData": "!"}, {}, {"keyPath": "/a", "keyData": "YQ=="}
        kind = self._pick("GPGKeys", "X509Certificates", odd=("gpg", ""))
        return {"type": "signedBy", "keyType": kind, **self._pick(*keys, odd=odd)}

    def _sigstore(self) -> dict[str, object]:
        fulcio = {"caPath": "/c", "oidcIssuer": "https://x", "subjectEmail": "a@b"}
        pki = {"caRootsPath": "/c", "subjectHostname": "h"}
        rekor: dict[str, object] = self._pick(
            {"rekorPublicKeyPath": "/r"}, {"rekorPublicKeyPaths": ["/r"]}, {"rekorPublicKeyDatas": ["YQ=="]},
            odd=({"rekorPublicKeyPaths": []}, {"rekorPublicKeyPath": "/r", "rekorPublicKeyData": "YQ=="}),
        )  # fmt: skip
        found: dict[str, object] = self._pick(
            {"keyPath": "/c.pub"}, {"keyPaths": ["/c.pub", "/d.pub"]}, {"keyDatas": ["YQ==", "Yg=="]}, {"pki": pki},
            {"fulcio": fulcio} | rekor, {"keyData": "YQ=="} | rekor,
            odd=({"pki": pki} | rekor, {"fulcio": fulcio}, {"keyPaths": []}, {"pki": {}}, {}),
        )  # fmt: skip
        return {"type": "sigstoreSigned", **found}

    def _identity(self) -> dict[str, object]:
        kind = self._random.choice(
            ("matchExact", "matchRepository", "exactReference", "exactRepository", "remapIdentity")
        )
        if kind == "exactReference":
            return {"type": kind, "dockerReference": self._name(":1", f"@{DIGEST}")}
        if kind == "exactRepository":
            return {"type": kind, "dockerRepository": self._name("")}
        if kind == "remapIdentity":
            odd = (*HOSTS, self._name("", ":1"))
            return {
                "type": kind,
                "prefix": self._pick("a.example.com", odd=odd),
                "signedPrefix": self._pick("b/c", odd=odd),
            }
        return {"type": kind}


def inline(value: object) -> str:
    """TOML of JSON data on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {inline(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(inline(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)


def exported(layer: Path, target: Path) -> int:
    """The exit code of an export of one profile."""
    return cli.main(["trust", "export", "-p", str(layer), str(target)])


def required(layer: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the profile requires, as `trust show` has it."""
    assert cli.main(["trust", "show", "-p", str(layer), "--raw"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def podman(path: Path) -> str:
    """What podman says of a policy; empty where it goes on to look at the image."""
    argv = ["podman", "pull", "-q", "--signature-policy", str(path), f"dir:{path.parent}/none"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode != 0
    assert "invalid policy" in done.stderr or "none" in done.stderr, done.stderr
    return done.stderr if "invalid policy" in done.stderr else ""


@pytest.mark.sampled(kinds=lambda row: [row["start"] % 100])
@pytest.mark.parametrize("start", range(0, 500, 20))
def test_what_is_exported_is_read(
    start: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """Of 500 made-up policies an ordinary run takes some; `--all` takes all, and asks podman, too."""
    whole = is_whole(request.config)
    count = 0
    for number in range(start, start + 20) if whole else (start, start + 7, start + 13):
        text = Made(number).text()
        layer = tmp_path / f"{number}.toml"
        layer.write_text(text)
        target = tmp_path / str(number)
        if exported(layer, target) != 0:
            error = capsys.readouterr().err
            assert f"{layer}:" in error, (text, error)
            assert "hint:" in error
            assert not target.exists()
            continue
        capsys.readouterr()
        count += 1
        written = (target / "policy.json").read_text()
        assert not message(written, target), text
        assert json.loads(written) == required(layer, capsys)
        assert policy.dump(policy.read(target / "policy.json")) == written
        if whole:
            assert not podman(target / "policy.json"), text
    assert count > 0


SIGNED = 'default = { signedBy = "/a.gpg", signedIdentity = { type = "%s", %s } }'


@pytest.mark.parametrize(
    "line",
    [
        f'docker-daemon."{DIGEST}" = "reject"',
        'containers-storage."[]" = "reject"',
        'containers-storage."[relative/path]" = "reject"',
        'containers-storage."[overlay@/var/lib/containers/storage]busybox@ab" = "reject"',
        'default = { sigstoreSigned = { pki = { caRootsPath = "/c", subjectHostname = "h" }, rekorPublicKeyPath = "/r" } }',
        SIGNED % ("exactReference", 'dockerReference = "Foo/bar:1"'),
        SIGNED % ("exactReference", 'dockerReference = "[::1]:5000/x:1"'),
        SIGNED % ("exactRepository", f'dockerRepository = "{LONG}"'),
        SIGNED % ("remapIdentity", 'prefix = "[::1]:5000", signedPrefix = "b"'),
    ],
)
def test_what_they_refuse_as_a_whole_is_refused_with_its_line(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layer = tmp_path / "team.toml"
    layer.write_text(f"[trust]\n{line}\n")
    assert exported(layer, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert f"{layer}:2: trust." in error
    assert "hint:" in error
    assert not (tmp_path / "out").exists()
    assert cli.main(["trust", "lint", "-p", str(layer)]) == 2
