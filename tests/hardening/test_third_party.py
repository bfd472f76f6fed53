"""`plugins`: what a distribution of somebody else brings, installed beside these, is their equal, from a build to a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs
import pytest

from hardening.base.openpgp.signing import signer
from hardening.compose.composition import compose
from hardening.images.reference import parse
from hardening.mechanism import host
from hardening.mechanism.used import Used
from hardening.plugin import plugins
from hardening.plugin.admission import Candidate
from hardening.plugin.plugins import Plugin, Plugins
from hardening_trust import payload
from tests.docs.examples import ROOT, blocks
from tests.support import gpg
from tests.support.features import require
from tests.support.forking import ForkServer
from tests.support.images import archive, entry, layout, shell
from tests.support.runs import workplace
from tests.support.texts import TODAY, stack

THIRD_PARTY = Path(__file__).parents[1] / "support/thirdparty"
NAME = "registry.example.com/team/app:1"
DIGEST = "sha256:" + "1" * 64


@attrs.frozen
class Installed:
    """A directory that a third-party distribution has been installed into."""

    path: Path
    server: ForkServer

    def call(self, *words: str, cwd: Path, env: Mapping[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
        """The whole program with the distribution installed."""
        own = {**os.environ, "NO_COLOR": "1", **env}
        return self.server.run(words, code="from hardening.whole import main", cwd=cwd, env=own, text=text)

    def python(self, code: str) -> Any:
        """What a fresh interpreter prints as JSON, with the distribution installed."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(self.path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def acme(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The sample distribution, built to a wheel and installed by pip."""
    target = tmp_path_factory.mktemp("acme")
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [sys.executable, *command, "--target", str(target), str(THIRD_PARTY)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    start = f"import sys; sys.path.append({str(target)!r}); del sys.argv[1]; exec(sys.argv.pop(1))"
    with closing(ForkServer([sys.executable, "-I", "-B", "-c", start], os.environ)) as server:
        yield Installed(target, server)


def test_a_third_party_s_mechanism_is_equal(acme: Installed) -> None:
    found = acme.python(
        "import json; from hardening.plugin import plugins; loaded = plugins.load();"
        "mechanism = loaded.mechanism('quota'); owner = loaded.owner(mechanism);"
        "print(json.dumps([owner.name, owner.distribution, owner.version, len(loaded.mechanisms)]))"
    )
    assert found == ["quota", "acme-hardening", "1.2", len(plugins.load().mechanisms) + 1]


def test_a_third_party_s_profile_is_found_by_its_name(acme: Installed) -> None:
    found = acme.python(
        "import json; from hardening.plugin import plugins; from hardening.profile.layers import SearchPath;"
        "found = SearchPath.standard(plugins.shipped_profiles()).find('acme');"
        "print(json.dumps([str(found.path), found.owner]))"
    )
    assert found == [str(acme.path / "acme_profiles/acme.toml"), "shipped by acme-hardening"]


def test_a_third_party_s_profile_composes_with_its_mechanism_and_ours(acme: Installed) -> None:
    found = acme.python(
        """
import json, datetime
from hardening.mechanism import host
from hardening.plugin import plugins
from hardening.compose.composition import compose
from hardening.profile.layers import SearchPath, resolve
loaded = plugins.load()
stack = resolve(["default", "acme"], SearchPath.standard(plugins.shipped_profiles()))
composition = compose(stack, loaded.mechanisms, host.probe(loaded.mechanisms), datetime.date.today())
print(json.dumps({str(leaf): [r.shown, r.limit_shown] for leaf, r in composition.leaves.items() if leaf.setting == "files"}))
"""
    )
    assert found == {"quota.files": ["100", "1000"]}


def test_a_third_party_s_secrets_are_given_beside_ours(acme: Installed, tmp_path: Path) -> None:
    """From the creation under its driver to the command, and one that it gives itself."""
    require("userns")

    def call(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        own = {f"HARDENING_{name}": str(tmp_path / name.lower()) for name in ("STATE", "SECRETS")}
        return acme.call(*words, cwd=tmp_path, env=own, text=text)

    assert "shelf: where in the vault" in call("secret", "drivers").stdout
    refused = call("secret", "create", "db", "-", "-d", "acme", "--driver-opt", "shelv=top", text="planted")
    assert (refused.returncode, 'did you mean "shelf"?' in refused.stderr) == (2, True)
    created = call("secret", "create", "db", "-", "-d", "acme", "--driver-opt", "shelf=top", text="planted")
    assert created.returncode == 0, created.stderr
    (row,) = json.loads(call("secret", "inspect", "db").stdout)
    assert row["Spec"]["Driver"] == {"Name": "acme", "Options": {"shelf": "top"}}
    (kept,) = (tmp_path / "secrets/values/acme").iterdir()
    assert (kept.name[:4], kept.read_bytes()) == ("top-", b"detnalp")

    uses = [word for name in ("db", "own", "acme-token") for word in ("--secret", name)]
    assert call("secret", "create", "own", "-", text="mine").returncode == 0
    script = "for name in db own acme-token; do cat /run/secrets/$name; echo; done"
    done = call("run", "-q", *uses, "--", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (0, "planted\nmine\nissued\n"), done.stderr
    missing = call("run", "-q", "--secret", "acme-tokens", "--", "true")
    assert (missing.returncode, 'did you mean "acme-token"?' in missing.stderr) == (125, True)

    assert call("secret", "rotate", "db", "-", text="new").returncode == 0
    assert call("run", "-q", "--secret", "db", "--", "cat", "/run/secrets/db").stdout == "new"
    (again,) = (tmp_path / "secrets/values/acme").iterdir()
    again.unlink()
    lost = call("run", "-q", "--secret", "db", "--", "true")
    assert (lost.returncode, "the vault does not read it: No such file" in lost.stderr) == (125, True)
    assert call("secret", "rm", "db").returncode == 0


def test_a_third_party_s_scanner_signatures_and_verdict_decide_about_an_image(acme: Installed) -> None:
    """From the pull to the run, and when what they rest on changes although a plan is stored."""
    require("userns")
    with workplace() as place, gpg.home() as home:

        def call(*words: str) -> subprocess.CompletedProcess[str]:
            own = {"HARDENING_STATE": f"{place}/state", "HARDENING_IMAGES": f"{place}/images"}
            return acme.call(*words, cwd=place, env={"ACME_IMAGES": f"{place}/acme", **own})

        key = home.generate("acme")
        (place / "key.gpg").write_bytes(home.export(key))
        identity = f'{{ type = "exactReference", dockerReference = "{NAME}" }}'
        signed = f'{{ signedBy = "{place}/key.gpg", signedIdentity = {identity} }}'
        gate = '[scan]\nexternal = "deny"\n'
        (place / "team.toml").write_text(f'extends = ["default"]\n[trust.oci]\n"{place}" = {signed}\n{gate}')
        digest = layout(place / "image", [shell(), archive([entry("opt/tool", b"x")])])
        image = ("-p", "./team.toml", "oci:image:v1")
        run = ("run", "-q", *image, "--", "/bin/sh", "-c", "echo ran")
        refused = call(*run)
        assert (refused.returncode, "no signature exists" in refused.stderr) == (2, True), refused.stderr

        folder = place / "acme/signatures" / digest.replace(":", "-")
        folder.mkdir(parents=True)
        (folder / "one").write_bytes(signer(key, home=home.path).sign(payload.made(digest, NAME)))
        done = call(*run)
        assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
        assert len(list((place / "state/cache").glob("*/*/entry.json"))) == 1
        verified = call("trust", "verify", *image)
        assert (verified.returncode, f"signed by {key}" in verified.stdout) == (0, True), verified.stdout

        (place / "acme/advisories").write_text("tool\n")
        refused = call(*run)
        assert (refused.returncode, "/opt/tool (Acme advises against it)" in refused.stderr) == (2, True)
        (place / "acme/banned").write_text(f"oci:{place}/image:v1\n")
        refused = call("pull", "-q", *image)
        assert (refused.returncode, "Acme has banned" in refused.stderr) == (2, True), refused.stderr
        assert call("rmi", "-f", "oci:image:v1").returncode == 0


def test_the_examples_of_the_how_to_are_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [block for block in blocks(ROOT / "docs/howto/write-a-plugin.md") if block.language == "python"]
    found = {block.marks["file"].removesuffix(".py"): block.text for block in examples}
    made = {name: text for name, text in found.items() if "hookimpl" in text}
    for name, text in made.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = Plugins(Plugin(name, import_module(name), "acme", "1") for name in made)
    for name in made:  # code that is younger than this process would keep the tests of stored plans from storing any
        del sys.modules[name]
    assert [item.name for item in loaded.mechanisms] == ["quota"]
    assert (list(loaded.scanners), list(loaded.secret_drivers)) == (["acme"], ["acme"])
    unsigned = loaded.signatures(parse(NAME), DIGEST, compose(stack(), [], host.plain(), TODAY), verify=True)
    assert unsigned == []
    (tmp_path / "banned").write_text(NAME)
    monkeypatch.setattr(loaded.plugins[1].module, "BANNED", tmp_path / "banned")
    document = {"annotations": Used(NAME, "", tmp_path).annotations}
    (verdict,) = loaded.admit(Candidate(json.dumps(document).encode(), host.plain()))
    assert [refusal.reason for refusal in verdict.refusals] == [f"Acme has banned {NAME}"]


def test_the_distribution_of_the_how_to_builds_as_printed_and_runs(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for block in blocks(ROOT / "docs/howto/write-a-plugin.md"):
        if "file" in block.marks:
            place = source / block.marks["file"]
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text)
    (source / "acme_profiles/__init__.py").touch()
    command = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [sys.executable, *command, "--target", str(target), str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        script = "import sys; sys.path.insert(0, sys.argv.pop(1)); from hardening.cli import main; sys.exit(main())"
        return subprocess.run(
            [sys.executable, "-c", script, str(target), *words], cwd="/", capture_output=True, text=True, check=False
        )

    rows = {row["name"]: row for row in json.loads(call("plugin", "list", "--json").stdout)}
    python = {path.stem.removeprefix("acme_") for path in source.glob("acme_*.py")}
    assert python == {name for name, row in rows.items() if row["distribution"] == "acme-hardening"}
    assert [item["name"] for item in rows["quota"]["mechanisms"]] == ["quota"]
    shown = call("compose", "-p", "acme")
    assert json.loads(shown.stdout)["annotations"]["com.example.quota.files"] == "100", shown.stderr
    explained = call("explain", "quota.files", "-p", "acme")
    assert (explained.returncode, "acme.toml" in explained.stdout) == (0, True), explained.stderr
    require("userns")
    done = call("run", "-q", "-p", "acme", "--", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
    receipt = tmp_path / "receipt.json"
    done = call("run", "-q", "-p", "acme", "-p", "strict", "--receipt", str(receipt), "--", "true")
    assert done.returncode == 0, done.stderr
    held = call("receipt", "-p", "acme", "-p", "strict", str(receipt))
    assert (held.returncode, "quota" in held.stdout) == (0, False), held.stdout
