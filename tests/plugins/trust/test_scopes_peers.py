"""`plugins/hardening_trust/scopes.py`, and skopeo: the scope that decides, of the same policies and images."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hardening.images import reference
from hardening.mechanism.schema import WILDCARD
from hardening_trust import lint, policy, scopes, view
from hardening_trust.requirements import ACCEPT, REJECT, Requirements
from tests.support.images import archive, entry, layout
from tests.support.registry import registry
from tests.support.sample import examples

HOSTS = ("docker.io", "a.b.example.com:5000", "c.example.org", "localhost:5000", "10.0.0.7:5000", "registry")
REPOSITORIES = ("library/busybox", "ns/r", "ns/deep/r")
TAGS = ("latest", "t")
NOISE = (
    "docker.example.com", "docker.a.b.example.com", "docker.*.example.com:5000", "docker.*.b.example.com/ns",
    "docker.busybox", "docker.library", "docker.docker.io/busybox", "docker.docker.io/library/busybox:other",
    "docker.docker.io/lib", "docker.*", "docker.*.", "docker.https://docker.io", "oci./tmp", "atomic.docker.io", "dir",
)  # fmt: skip


@attrs.frozen
class Images:
    """Images that skopeo can read: ``names`` of a registry that stands in for all hosts, and of directories."""

    folder: Path
    names: tuple[str, ...]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    folder = tmp_path_factory.mktemp("scopes")
    layout(folder / "layout", [archive([entry("file", b"content")])])
    (folder / "link").symlink_to("layout")
    (folder / "dir").mkdir()
    _copy(f"oci:{folder}/layout:v1", f"dir:{folder}/dir/image")
    digest = subprocess.run(
        ["skopeo", "manifest-digest", f"{folder}/dir/image/manifest.json"], capture_output=True, text=True, check=True
    ).stdout.strip()
    paths = (f"oci:{folder}/layout:v1", f"oci:{folder}/link:v1", f"oci:{folder}/layout", f"dir:{folder}/dir/image")
    (folder / "registry").mkdir()
    (folder / "auth.json").write_text("{}")
    with registry(folder / "registry") as running:
        for repository in REPOSITORIES:
            for tag in TAGS:
                _copy(f"dir:{folder}/dir/image", f"docker://{running.host}/{repository}:{tag}", folder / "auth.json")
        rows = [
            f'[[registry]]\nprefix = "{host}"\nlocation = "{running.host}"\ninsecure = true\n'
            for host in (*HOSTS[:-1], running.host)
        ]
        (folder / "registries.conf").write_text("\n".join(rows))
        hosts = [running.host if host == "registry" else host for host in HOSTS]
        ends = (*(f":{tag}" for tag in TAGS), f"@{digest}")
        named = [f"{host}/{repository}{end}" for host in hosts for repository in REPOSITORIES for end in ends]
        yield Images(folder, (*named, *paths))


def _copy(source: str, target: str, auth: Path | None = None) -> None:
    known = ["--dest-authfile", str(auth)] if auth is not None else []
    argv = ["skopeo", "--insecure-policy", "copy", "-q", "--dest-tls-verify=false", *known, source, target]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)


def ask(images: Images, name: str, text: str) -> tuple[str, bool]:
    """The scope by which skopeo decides, by its name here, and whether it accepts the image."""
    path = images.folder / "policy.json"
    path.write_text(text)
    source = name if name.startswith(("oci:", "dir:")) else f"docker://{name}"
    options = ["--debug", "--policy", str(path), "--registries-conf", str(images.folder / "registries.conf")]
    auth = ["--src-authfile", str(images.folder / "auth.json")] if source.startswith("docker:") else []
    argv = ["skopeo", *options, "copy", *auth, source, f"dir:{images.folder}/out"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        assert "is rejected by policy" in done.stderr, done.stderr
    specific = re.search(r'Using transport \\"(.*?)\\"(?: specific)? policy section \\?"?(.*?)(?:\\"|")', done.stderr)
    if specific is None:
        assert "Using default policy section" in done.stderr, done.stderr
        return WILDCARD, done.returncode == 0
    return scopes.member(specific[1], specific[2]), done.returncode == 0


def written(chosen: dict[str, Requirements]) -> str:
    transports: dict[str, dict[str, Requirements]] = {}
    for name, requirements in chosen.items():
        transport, scope = scopes.split(name)
        if transport:
            transports.setdefault(transport, {})[scope] = requirements
    return policy.dump(policy.Policy(chosen[WILDCARD], transports, {}))


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_skopeo_looks_up_the_same_scope(images: Images, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(images.names))
    own = [candidate.member for candidate in scopes.candidates(reference.resolved(reference.parse(name)))][:-1]
    own += [f"{own[0]}:v1"] if own[0].startswith("oci.") else []
    some: Sequence[str] = data.draw(st.lists(st.sampled_from([*own, *NOISE]), max_size=6, unique=True))
    verdicts = st.sampled_from([ACCEPT, REJECT])
    chosen = {member: data.draw(verdicts) for member in (*some, WILDCARD)}
    text = written(chosen)
    (images.folder / "ours.json").write_text(text)
    found = view.of_file(images.folder / "ours.json").match(reference.parse(name))
    section, accepted = ask(images, name, text)
    assert section == found.member
    assert accepted == (found.requirements == ACCEPT)


def test_what_lint_says_never_matches_does_not(images: Images) -> None:
    """Every scope that skopeo could have found by is one that lint leaves alone, and the noise is not."""
    for name in images.names:
        for candidate in scopes.candidates(reference.resolved(reference.parse(name))):
            transport, scope = scopes.split(candidate.member)
            if transport == "docker" and scope:
                assert lint.docker_problem(scope) == "", scope
    wrong = [scopes.split(name)[1] for name in NOISE if name.startswith("docker.")]
    assert sum(bool(lint.docker_problem(scope)) for scope in wrong) >= 7


def test_both_a_tag_and_a_digest_are_refused_by_both(images: Images) -> None:
    digest = json.loads((images.folder / "layout/index.json").read_text())["manifests"][0]["digest"]
    name = f"docker.io/library/busybox:t@{digest}"
    argv = ["skopeo", "inspect", "--authfile", str(images.folder / "auth.json"), f"docker://{name}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
    assert "both a tag and digest" in done.stderr
