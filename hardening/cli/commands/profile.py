"""``hardening profile``: which profiles there are, what one says and may say, who has signed it; ``hardening schema``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hardening.base.units import timestamp
from hardening.base.wholefile import Owner
from hardening.cli import output
from hardening.cli.options.stack import complete_profile, seen_from
from hardening.cli.session import Request, Session, session
from hardening.errors import EXIT_FINDINGS, HardeningError, ProfileError, UsageError, quoted
from hardening.launch.record import behalf
from hardening.profile import signatures
from hardening.profile.layers import SUFFIX, FoundProfile, SearchPath, is_path, parse_layer, resolve
from hardening.profile.machine import FILE
from hardening.profile.placeholders import NAMES, NoPlaceholder
from hardening.profile.signatures import Required
from hardening.profile.source import Origin, read
from hardening.report.table import Table


@click.group("profile")
def command() -> None:
    """Profiles are looked up in /etc/hardening/profiles, $XDG_CONFIG_HOME/hardening/profiles, and in what installed
    packages ship; a name in two of them is an error. A file is named by its path: ./team.toml."""


@command.command("list", epilog="\b\nExamples:\n  hardening profile list\n  hardening profile list --json\n")
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def list_profiles(context: click.Context, as_json: bool) -> int:
    """List every profile that has a name. Exit code 1: one of them cannot be read, or its name stands for several."""
    search = session(context).search
    entries = [_entry(search, found) for found in search.all()]
    rows = tuple(
        (
            entry["name"],
            f"cannot be used: {entry['problem']}" if entry["problem"] else entry["description"],
            entry["owner"],
            entry["file"] if entry["problem"] else "",
        )
        for entry in entries
    )
    output.show_either(entries, Table(("profile", "description", "from", "file"), rows), as_json=as_json)
    return EXIT_FINDINGS if any(entry["problem"] for entry in entries) else 0


def _entry(search: SearchPath, found: FoundProfile) -> dict[str, Any]:
    description, problem = "", None
    try:
        description = parse_layer(read(found.path, found.name, owner=Owner.OWN)).description
        search.find(found.name)
    except HardeningError as error:
        problem = error.message
    return {
        "name": found.name,
        "description": description,
        "owner": found.owner,
        "file": str(found.path),
        "problem": problem,
    }


@command.command(
    "show", epilog="\b\nExamples:\n  hardening profile show strict\n  hardening profile show ./team.toml --json\n"
)
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("name", metavar="PROFILE", shell_complete=complete_profile)
@click.pass_context
def show(context: click.Context, as_json: bool, name: str) -> None:
    """Show one profile: where it stands, what it extends, and its text."""
    from hardening.report import data, explain

    here: Session = session(context)
    stack = here.stack(Request((name,)))
    layer = stack.layers[-1]
    text = layer.document.text
    if as_json:
        output.show_json(
            {
                **data.layer(layer),
                "stack": [item.name for item in stack.layers],
                "text": text,
            }
        )
        return
    # As comments, so that what is shown is a profile again.
    for line in explain.tree(stack.layers, output.width() - 2):
        output.show(f"# {line}")
    output.show(text.rstrip("\n"))


@command.command(
    "sign",
    epilog="""\b
Examples:
  hardening profile sign --key policy@example.com ./team.toml
  hardening profile sign --key 0123…CDEF --passphrase-file ./passphrase ./org.toml ./team.toml
""",
)
@click.option("--key", required=True, metavar="ID", help="The secret key: a fingerprint, or what only one key has.")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the key's passphrase from FILE. Default: the agent knows it, or asks for it on the terminal.",
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
def sign(key: str, passphrase_file: Path | None, files: Sequence[Path]) -> None:
    """Sign profiles with a key of yours: FILE.sig, beside each FILE, is a detached signature of OpenPGP."""
    from hardening.base.openpgp.signing import signer

    hint = "what is signed is named by the path of its file: ./team.toml"
    texts = {file: read(file, file.stem, hint=hint) for file in files}
    for document in texts.values():
        parse_layer(document)  # what is no profile is not signed
    with_key = signer(key, passphrase_file)
    for file, document in texts.items():
        target, signature = signatures.place(file), with_key.sign(document.text.encode(), detach=True)
        output.save(target, signature)
        output.show(str(target))


@command.command(
    "verify",
    epilog="""\b
Examples:
  hardening profile verify team
  hardening profile verify --keys ./policy.gpg ./org.toml ./team.toml
""",
)
@click.option(
    "--keys", "keys", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    help="A file of keys that are accepted; may be repeated. Default: those that /etc/hardening/hardening.toml requires.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.argument("profiles", nargs=-1, required=True, metavar="PROFILE...", shell_complete=complete_profile)
@click.pass_context
def verify(context: click.Context, keys: Sequence[Path], as_json: bool, profiles: Sequence[str]) -> int:
    """Say of profiles, and of all that they extend, who has signed them. Exit code 1: one is not signed by a key that is
    accepted. Profiles of installed packages have no signature."""
    here = session(context)
    required = Required(tuple(keys), Origin("", "--keys")) if keys else here.machine.signed
    if required is None:
        hint = "name a file of keys: --keys FILE (`gpg --export ID >FILE` writes one)"
        raise UsageError(f"nobody says whose signature is accepted: there is no require_signed_by in {FILE}", hint=hint)
    owner = Owner.ANY if keys else Owner.ROOT
    signatures.verify({}, required, owner)  # what is wrong with the keys is wrong with no profile
    texts = {
        layer.document.file: layer.document.text
        for layer in resolve(profiles, here.search).layers
        if layer.document.file is not None and not layer.shipped
    }
    entries = [*_verified(texts, required, owner)]
    rows = tuple(
        (entry["file"], entry["key"] or "refused", entry["problem"] or entry["until"] or "") for entry in entries
    )
    output.show_either(entries, Table(("file", "signed by", "until"), rows), as_json=as_json)
    return EXIT_FINDINGS if any(entry["problem"] for entry in entries) else 0


def _verified(texts: Mapping[Path, str], required: Required, owner: Owner) -> Iterator[dict[str, Any]]:
    for file, text in texts.items():
        entry: dict[str, Any] = {"file": str(file), "key": None, "until": None, "problem": None}
        try:
            found = signatures.verify({file: text}, required, owner).signatures[file]
        except ProfileError as error:
            yield {**entry, "problem": error.message}
            continue
        until = timestamp(found.expires * 10**9) if found.expires is not None else None
        yield {**entry, "key": found.key, "until": until}


@command.command(
    "new",
    epilog="\b\nExamples:\n  hardening profile new orders\n  hardening profile new job --extends strict -o ./job.toml\n",
)
@click.option(
    "--extends", multiple=True, metavar="PROFILE", default=("default",), show_default=True, shell_complete=complete_profile,
    help="What it builds on; may be repeated.",
)  # fmt: skip
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), metavar="FILE", help="Default: ./NAME.toml.")
@click.argument("name")
@click.pass_context
def new(context: click.Context, extends: Sequence[str], target: Path | None, name: str) -> None:
    """Write a profile that is to be filled in: what it may say, and what holds already by what it extends, as comments.
    Nothing is replaced."""
    from hardening.report.authoring.scaffold import scaffold

    here = session(context)
    if not name.isprintable() or "/" in name or not name.strip("."):
        raise UsageError("a profile is named as a file is", origin=name, hint="hardening profile new orders")
    if target is None and any(here.search.ships(found.path) for found in here.search.hits(name.removesuffix(SUFFIX))):
        hint = f"choose another name, or name the file: -o {quoted(f'./{name}')}"
        raise UsageError(
            "a shipped profile has that name, which -p and `extends` would look up", origin=name, hint=hint
        )
    base = here.compose(Request(tuple(extends)))
    path = target or Path(f"{name.removesuffix(SUFFIX)}{SUFFIX}")
    try:
        owner = NAMES["user"]()
    except NoPlaceholder:
        owner = "nobody yet"
    seen = [seen_from(path.parent, one) if is_path(one) and not one.startswith(("/", "~")) else one for one in extends]
    text = scaffold(path.stem, seen, owner, base)
    try:
        behalf.save(str(path), text.encode(), new=True)
    except FileExistsError:
        raise UsageError("is there already", origin=path, hint="name another file: -o FILE") from None
    except OSError as error:
        raise UsageError(
            f"cannot be written: {error.strerror}", origin=path, hint="name another file: -o FILE"
        ) from None
    output.show(str(path))


@command.command(
    "format",
    epilog="\b\nExamples:\n  hardening profile format ./team.toml\n  hardening profile format --check profiles/*.toml\n",
)
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a file would be changed.")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
def format_files(check: bool, paths: Sequence[Path]) -> int:
    """Give profiles the canonical layout: spaces, blank lines and ends of lines. Comments, the order of tables and keys, and
    what is said stay. The files that are, or would be, changed are printed."""
    from hardening.profile.layout import formatted

    texts = {path: read(path, path.stem).text for path in paths}  # all are read before any is written
    changed = {path: new for path, text in texts.items() if (new := formatted(text)) != text}
    for path, text in changed.items():
        if not check:
            output.save(path, text.encode())
        output.show(str(path))
    return EXIT_FINDINGS if check and changed else 0


@command.command(
    "docs", epilog="\b\nExamples:\n  hardening profile docs >settings.md\n  hardening profile docs --json\n"
)
@click.option("--json", "as_json", is_flag=True, help="Show it as JSON.")
@click.pass_context
def docs(context: click.Context, as_json: bool) -> None:
    """List every setting of the installed mechanisms, as Markdown: how it is written, its default and its meaning."""
    from hardening.report.authoring import schema as schemas

    mechanisms = session(context).plugins.mechanisms
    if as_json:
        output.show_json(list(schemas.settings(mechanisms)))
    else:
        output.show("\n".join(schemas.markdown(mechanisms)).rstrip("\n"))


@click.command(
    "schema",
    epilog="\b\nExamples:\n  hardening schema >profile.schema.json\n  hardening schema test >test.schema.json\n",
)
@click.argument("what", type=click.Choice(("profile", "test", "machine")), default="profile")
@click.pass_context
def schema(context: click.Context, what: str) -> None:
    """Show a JSON Schema for editors: taplo and what is made with it complete and check files by it. Of a profile, by the
    installed mechanisms; of a file of assertions (test); or of /etc/hardening/hardening.toml (machine). Only a composition
    says whether layers go together."""
    from hardening.report.authoring import schema as schemas

    if what == "profile":
        output.show_json(schemas.schema(session(context).plugins.mechanisms))
    else:
        output.show_json(schemas.tests() if what == "test" else schemas.machine())
