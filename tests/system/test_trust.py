"""Images of a registry under `strict`: one that is signed runs, others do not, and the policy is asked at every run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.support.cached import Place
from tests.support.features import require
from tests.support.gpg import Home, home
from tests.support.images import archive, entry, layout, shell
from tests.support.registry import Registry, registry
from tests.support.runs import workplace

pytestmark = pytest.mark.system

CONFIG = {"User": "1000:1000", "Entrypoint": ["sh", "-c"], "Cmd": ["cat /etc/motd"]}


@attrs.frozen
class World:
    """A place with a registry, a signer's home, and the profile `team.toml`, which wants a signature by `team.gpg`."""

    place: Place
    registry: Registry
    signer: Home

    @property
    def folder(self) -> Path:
        return self.place.folder

    def image(self, tag: str) -> str:
        return f"{self.registry.host}/team/app:{tag}"

    def push(self, tag: str, motd: str) -> str:
        """Push an image that prints ``motd``: the digest of its manifest."""
        digest = layout(self.folder / tag, [shell(), archive([entry("etc/motd", motd.encode())])], CONFIG, tag=tag)
        done = self.copy(f"oci:{self.folder / tag}:{tag}", f"docker://{self.image(tag)}", "--insecure-policy")
        assert done.returncode == 0, done.stderr
        return digest

    def copy(self, source: str, target: str, *options: str) -> subprocess.CompletedProcess[str]:
        argv = ["skopeo", *options, "copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", source, target]
        environment = dict(self.place.environment)
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environment, timeout=60)

    def policy(self, requirement: str) -> None:
        """Write the profile; signatures lie in a folder."""
        (self.folder / "team.toml").write_text(
            f'[trust]\ndefault = "reject"\n\n[trust.docker]\n"{self.registry.host}/team" = {requirement}\n\n'
            f'[trust.lookaside]\n"{self.registry.host}" = "file://{self.folder}/signatures"\n'
        )

    def sign(self, tag: str) -> Path:
        """Sign an image, where the profile has its signatures: the signature."""
        done = self.place.type(
            "trust", "sign", "--key", "team@example.com", "-p", "./team.toml", "--tls-verify=false", self.image(tag)
        )
        assert done.returncode == 0, done.stderr
        return Path(done.stdout.strip())

    def words(self, tag: str) -> tuple[str, ...]:
        return ("run", "-q", "-p", "./team.toml", "-p", "strict", "--tls-verify=false", self.image(tag))

    def refusal(self, tag: str) -> str:
        """Why an image does not run."""
        done = self.place.type(*self.words(tag))
        assert (done.returncode, done.stdout) == (2, "")
        return done.stderr

    def runs(self, tag: str) -> str:
        done = self.place.type(*self.words(tag))
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def world() -> Iterator[World]:
    require("userns")
    with workplace() as folder, home() as signer:
        (folder / "registry").mkdir()
        signer.generate("team")
        (folder / "team.gpg").write_bytes(signer.export("team@example.com"))
        (folder / "auth.json").write_text("{}")  # an ordinary user cannot look for one in /run/containers
        changed = {
            "GNUPGHOME": signer.path,
            "HARDENING_IMAGES": folder / "images",
            "REGISTRY_AUTH_FILE": folder / "auth.json",
        }
        environment = {**os.environ, **{name: str(path) for name, path in changed.items()}}
        with registry(folder / "registry") as running:
            found = World(Place(folder, environment=environment), running, signer)
            found.policy(f'{{ signedBy = "{folder}/team.gpg" }}')
            assert found.place.type("trust", "export", "-p", "./team.toml", "containers").returncode == 0
            try:
                yield found
            finally:
                tags = ("signed", "unsigned", "tampered")
                found.place.type("rmi", "-f", *map(found.image, tags), f"oci:{folder}/signed")


def test_only_what_is_signed_runs_and_the_policy_is_asked_at_every_run(world: World) -> None:
    world.push("signed", "signed\n")
    world.push("unsigned", "unsigned\n")
    other = world.push("tampered", "tampered\n")
    signature = world.sign("signed")

    assert world.runs("signed") == "signed\n"
    assert world.place.finds(*world.words("signed"))
    assert world.runs("signed") == "signed\n"
    assert "A signature was required, but no signature exists" in world.refusal("unsigned")
    # Somebody puts the signature of the one image beside the other.
    moved = signature.parent.with_name(f"app@{other.replace(':', '=')}")
    shutil.copytree(signature.parent, moved)
    assert "does not match" in world.refusal("tampered")

    # The keys and the policy of now count, for what is here as well.
    key = world.folder / "team.gpg"
    content = key.read_bytes()
    key.unlink()
    assert "cannot read the key" in world.refusal("signed")
    key.write_bytes(content)
    assert world.runs("signed") == "signed\n"
    world.policy(f'[{{ signedBy = "{key}" }}, {{ signedBy = "{key}", signedIdentity = {_other()} }}]')
    assert "is not accepted" in world.refusal("signed")
    world.policy('"reject"')
    assert f"Running image docker://{world.image('signed')} is rejected by policy." in world.refusal("signed")
    world.policy('{ signedBy = "team.gpg" }')  # of the folder of the profile, wherever somebody stands
    words = ("run", "-q", "-p", str(world.folder / "team.toml"), *world.words("signed")[4:])
    done = world.place.type(*words, cwd="/")
    assert (done.returncode, done.stdout) == (0, "signed\n"), done.stderr


def launch(world: World, *options: str) -> tuple[int, str, str]:
    done = world.place.type("launch", "app", *options)
    return done.returncode, done.stdout, done.stderr


def compose(world: World) -> None:
    """Write the bundle `app` of the signed image."""
    done = world.place.type("compose", "-o", "app", *world.words("signed")[1:])
    assert done.returncode == 0, done.stderr


def test_a_bundle_is_held_to_what_it_requires_at_every_launch(world: World) -> None:
    digest = world.push("signed", "signed\n")
    world.sign("signed")
    compose(world)
    key, store = world.folder / "team.gpg", world.folder / "images"
    (signatures,) = (store / "signatures").glob(f"{digest.replace(':', '-')}-*")
    manifest = store / "blobs/sha256" / digest.partition(":")[2]
    for _ in range(2):
        assert launch(world)[:2] == (0, "signed\n")
    assert world.place.finds("launch", "app")
    assert launch(world, "--runtime", "crun")[:2] == (0, "signed\n")

    def is_refused(reason: str, runtime: str = "native") -> None:
        assert not world.place.finds("launch", "app")
        code, said, problem = launch(world, "--runtime", runtime)
        assert (code, said) == (2, "")
        assert reason in problem

    good = key.read_bytes()
    key.unlink()
    is_refused("cannot read the key")
    world.signer.generate("other")
    key.write_bytes(world.signer.export("other@example.com"))
    is_refused("unknown key")
    world.signer.revoke(world.signer.fingerprints("team@example.com")[0])
    key.write_bytes(world.signer.export("team@example.com"))
    is_refused("is revoked")
    is_refused("is revoked", "crun")
    key.write_bytes(good)
    assert launch(world)[:2] == (0, "signed\n")
    assert world.place.finds("launch", "app")
    signatures.rename(world.folder / "aside")
    is_refused("A signature was required, but no signature exists")
    is_refused("A signature was required, but no signature exists", "crun")
    (world.folder / "aside").rename(signatures)
    text = manifest.read_bytes()
    manifest.write_bytes(text + b" ")
    is_refused("digest mismatch")
    manifest.write_bytes(text)
    # A policy that is tightened afterwards is not the bundle's.
    world.policy('"reject"')
    assert launch(world)[:2] == (0, "signed\n")
    done = world.place.type("compose", "-q", "-o", "next", *world.words("signed")[2:])
    assert (done.returncode, "is rejected by policy" in done.stderr) == (2, True), done.stderr
    assert not (world.folder / "next").exists()


def test_it_is_that_requirement_that_stops_a_bundle(world: World) -> None:
    """With another one in its place, everything else being the same, the bundle runs; with none it does not."""
    world.push("signed", "signed\n")
    world.sign("signed")
    compose(world)
    (world.folder / "team.gpg").unlink()
    path = world.folder / "app/config.json"
    document = json.loads(path.read_bytes())
    name = "org.hardening.trust.requirements"
    assert f"{world.folder}/team.gpg" in document["annotations"][name]
    for text, code in (
        (document["annotations"].pop(name), 2),
        ("", 2),
        ('[{"type":"reject"}]', 2),
        ('[{"type":"insecureAcceptAnything"}]', 0),
    ):
        path.write_text(json.dumps({**document, "annotations": {**document["annotations"], name: text}}))
        assert launch(world)[0] == code, text
    path.write_text(json.dumps(document))
    code, _, problem = launch(world)
    assert code == 2
    assert f"nothing states what is required of the image {world.image('signed')}" in problem
    assert "hint: compose it again" in problem


def _other() -> str:
    return '{ type = "exactRepository", dockerRepository = "example.com/other" }'


def test_no_pull_takes_away_the_signatures_that_a_run_rests_on(world: World) -> None:
    world.push("signed", "signed\n")
    signature = world.sign("signed")
    assert world.runs("signed") == "signed\n"
    pull = ("pull", "--tls-verify=false")
    # The server has none any more; another stack looks elsewhere; another name of the same image has none.
    signature.rename(signature.with_name("elsewhere"))
    done = world.place.type(*pull, "-p", "./team.toml", world.image("signed"))
    assert "A signature was required, but no signature exists" in done.stderr
    assert world.runs("signed") == "signed\n"
    (world.folder / "lax.toml").write_text('[trust]\ndefault = "accept"\n')
    for name in (world.image("signed"), f"oci:{world.folder}/signed"):
        assert world.place.type(*pull, "-p", "./lax.toml", name).returncode == 0
        assert world.runs("signed") == "signed\n"
    # One who was never found signed is told what to do once he is.
    done = world.copy(f"docker://{world.image('signed')}", f"docker://{world.image('unsigned')}", "--insecure-policy")
    assert done.returncode == 0, done.stderr
    assert world.place.type(*pull, "-p", "./lax.toml", world.image("unsigned")).returncode == 0
    assert "with --pull=always its signatures are fetched anew" in world.refusal("unsigned")
    world.sign("unsigned")
    assert "no signature exists" in world.refusal("unsigned")
    words = world.words("unsigned")
    assert world.place.type(*words[:-1], "--pull=always", words[-1]).stdout == "signed\n"


def test_skopeo_judges_alike_by_what_is_exported(world: World) -> None:
    world.push("signed", "signed\n")
    world.push("unsigned", "unsigned\n")
    world.sign("signed")
    options = (
        "--policy",
        f"{world.folder}/containers/policy.json",
        "--registries.d",
        f"{world.folder}/containers/registries.d",
    )
    done = world.copy(f"docker://{world.image('signed')}", f"dir:{world.folder}/out", *options)
    assert done.returncode == 0, done.stderr
    done = world.copy(f"docker://{world.image('unsigned')}", f"dir:{world.folder}/out", *options)
    assert "A signature was required, but no signature exists" in done.stderr
    assert done.returncode == 1
