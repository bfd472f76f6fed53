"""Attempts to show, write or mount what one limit, or one rule about sources, withholds: the table of `test_withheld`.

In words and layers `@W@` stands for the arena's folder, `@TOKEN@` for what the attempt is after. Every attempt prints the
token where it succeeds: with its one limit left out, or the one rule taken out of the program, it must.
"""

from __future__ import annotations

import attrs

#: What the arena's hidden directory and file are hidden by.
HIDDEN = '[limits.rootfs]\nhidden_paths.add = ["@W@/hid", "@W@/key"]\n'
HIDDEN_HOME = '[limits.rootfs]\nhidden_paths.add = ["@W@/home"]\n'
READ = "cat /x/canary"
#: What takes the rules about the kernel's file systems out of the program.
NO_KERNEL = "from hardening_rootfs import sources\nsources.KERNEL, sources._TOPS = frozenset(), ()\n" \
    "sources._RUNNING = ()\n" \
    "sources.require_public = lambda volume: None\n"  # fmt: skip
NO_LAYERS = "from hardening_rootfs.layers import Layers\nLayers.of = lambda *_: ((), '')\n"
NO_UNKNOWN = "from hardening_rootfs.layers import Layers\nlayers = Layers.of\n" \
    "Layers.of = lambda *given: (layers(*given)[0], '')\n"  # fmt: skip
#: What takes the rule out of the program that a mount is said of the place where it lies, and the word for the launcher that
#: it was looked at.
UNJUDGED = "from hardening.assemble import statements\nstatements.PROFILES = 'org.unjudged'\n"
NO_OWN_NAME = (
    UNJUDGED + "from hardening_rootfs import spec\nspec._require_own_name = spec._require_inside = lambda *_: None\n"
)
NO_LED = UNJUDGED + "from hardening_rootfs import tighten\ntighten._led = lambda *_: ''\n"
NO_COPIED = "from hardening_rootfs import tighten\ntighten._copied = lambda *_: None\n"
NO_LEFT = "from attrs import evolve\nfrom hardening_rootfs import aliases, sources\n" \
    "kept, found = sources.kept_in, aliases.mounted\n" \
    "sources.kept_in = lambda *given, recursive=True: kept(*given)\n" \
    "aliases.mounted = lambda: tuple(evolve(mount, unbindable=False) for mount in found())\n"  # fmt: skip
NO_PROFILES = "from hardening.profile import layers\nlayers.Stack.files = ()\n"
NO_DECIDING = "from hardening.base import state\nstate.deciding = lambda: ()\n"


@attrs.frozen
class Try:
    """One attempt: ``words`` are options of ``hardening run``, ``script`` what the command does. ``limit`` is the one limit,
    ``code`` takes the one rule out of the program where no limit is it; ``setup`` are commands of root in a private mount
    namespace before. ``always`` is a layer in both cases. ``runtime`` is that of ``launch``; "apply", or "apply crun",
    tightens a configuration made elsewhere, in which ``words`` are bind mounts (``bind:SRC:DST`` without those below),
    ``tmpfs:DST``, ``copy:DST`` (a tmpfs that holds a copy of what it covers) or ``secret:DST``, and runs
    that. ``who`` may try it."""

    name: str
    words: tuple[str, ...]
    script: str = READ
    limit: str = HIDDEN
    setup: str = ""
    code: str = ""
    always: str = ""
    runtime: str = ""
    who: tuple[str, ...] = ("root", "rootless")


def volume(text: str) -> tuple[str, ...]:
    return ("-v", text)


def _hidden() -> list[Try]:
    """Other names for a hidden directory, or a file in it."""
    sources = {
        "the directory": "@W@/hid:/x:ro",
        "writable": "@W@/hid:/x",
        "a directory in it": "@W@/hid/sub:/x:ro",
        "a link": "@W@/link:/x:ro",
        "a link of a link": "@W@/link2:/x:ro",
        "a link to what is in it": "@W@/linksub:/x:ro",
        "..": "@W@/pub/../hid:/x:ro",
        ".. through a link": "@W@/linksub/../hid:/x:ro",
        "slashes": "/@W@//hid/.:/x:ro",
        "with the mounts below": "@W@/hid:/x:ro,rbind",
        "its own destination": "@W@/hid:@W@/hid:ro",
    }
    found = [Try(f"hidden: {name}", volume(source), "cat @W@/hid/canary" if name == "its own destination" else READ)
             for name, source in sources.items()]  # fmt: skip
    files = {
        "a file": "@W@/hid/canary",
        "a hidden file": "@W@/key",
        "a hard link to it": "@W@/hard",
        "a link to a file": "@W@/linkfile",
    }
    found += [Try(f"hidden: {name}", volume(f"{source}:/x:ro"), "cat /x") for name, source in files.items()]
    found += [
        Try("hidden: idmap", volume("@W@/hid:/x:ro,idmap"), who=("root",)),
        Try("hidden: as a table", ("--set", 'rootfs.volumes.add=[{source="@W@/hid",target="/x",options=["ro"]}]')),
        Try("hidden: two volumes", ("-v", "@W@/pub:/y:ro", "-v", "@W@/hid:/x:ro")),
        Try("hidden: with an exception", (*volume("@W@/hid:/x:ro"), "--exception", "rootfs.hidden_paths.@W@/hid=x")),
        Try("hidden: over a place in memory", volume("@W@/hid:/tmp:ro"), "cat /tmp/canary"),
        Try("hidden: a volume in a place in memory", volume("@W@/hid:/tmp/x:ro"), "cat /tmp/x/canary"),
        Try("hidden: in a volume", ("-v", "@W@/pub:/y:ro", "-v", "@W@/hid:/y/sub:ro"), "cat /y/sub/canary"),
    ]  # fmt: skip
    return found


def _above() -> list[Try]:
    """Directories above it, and mounts in it."""
    parent, own = ("-v", "@W@:/x:ro"), ("-v", "@W@:@W@:ro")
    inside, there = "cat /x/hid/canary", "cat @W@/hid/canary"
    return [
        Try("above: the parent", parent, inside),
        Try("above: writable", ("-v", "@W@:/x"), inside),
        Try("above: the parent of a file", parent, "cat /x/key"),
        Try("above: the root", ("-v", "/:/x:ro"), "cat /x@W@/hid/canary"),
        Try("above: its parent's parent", ("-v", "@TOP@:/x:ro"), "cat /x/@NAME@/hid/canary"),
        Try("above: at its own place", own, there),
        Try("above: a link", ("-v", "@W@/linktop:/x:ro"), inside),
        Try("above: memory in it", (*own, "--tmpfs", "@W@/hid/sub"), there),
        Try("above: memory deep in it", (*own, "--tmpfs", "@W@/hid/sub/deep"), there),
        Try("above: memory deep in it, beside", (*own, "--tmpfs", "@W@/hid/sub/deep"), "cat @W@/hid/sub/canary"),
        Try("above: a volume in it", (*own, "-v", "@W@/pub:@W@/hid/sub:ro"), there),
        Try("above: a file in it", (*own, "-v", "@W@/pub/file:@W@/hid/sub/canary:ro"), there),
        Try("above: at another place, memory in it", (*parent, "--tmpfs", "/x/hid/sub"), inside),
        Try("above: idmap", ("-v", "@W@:/x:ro,idmap"), inside, who=("root",)),
        Try("above: a volume over it, above that one", (*parent, "-v", "@W@:/x/pub/sub:ro"), "cat /x/pub/sub/hid/canary"),
        *(Try(f"above: {runtime}", parent, inside, runtime=runtime) for runtime in ("native", "crun", "runc")),
        *(Try(f"above: {runtime}, a file", parent, "cat /x/key", runtime=runtime) for runtime in ("crun", "runc")),
        *(Try(f"above: {runtime}, memory in it", (*own, "--tmpfs", "@W@/hid/sub"), there, runtime=runtime)
          for runtime in ("crun", "runc")),
        *(Try(f"above: {runtime}, a file in it", (*own, "-v", "@W@/pub/file:@W@/hid/sub/canary:ro"), there, runtime=runtime)
          for runtime in ("crun", "runc")),
    ]  # fmt: skip


def _within() -> list[Try]:
    """In what is shown by an exception."""
    layer = '[rootfs]\nhidden_paths.add = ["@W@/hid"]\nvolumes.add = ["@W@/hid:/x:ro"]\n' \
        '[[exceptions]]\nsetting = "rootfs.hidden_paths.@W@/hid"\nreason = "an attempt"\n'  # fmt: skip
    limit = '[limits.rootfs]\nhidden_paths.add = ["@W@/hid/sub"]\n'
    return [
        Try("within: the directory is shown", (), "cat /x/sub/canary", limit, always=layer),
        Try("within: crun", (), "cat /x/sub/canary", limit, always=layer, runtime="crun"),
        Try("within: and something in it", ("--tmpfs", "/x/sub/deep"), "cat /x/sub/canary", limit, always=layer),
    ]


def _patterns() -> list[Try]:
    """By a pattern: `*` stands for every name, and nothing else for anything; and what cannot be listed has any name."""
    limit = '[limits.rootfs]\n{0}.add = ["{1}"]\n'
    closed = "install -d -m 711 @W@/{0}/closed; install -d @W@/{0}/closed/k; echo @TOKEN@ >@W@/{0}/closed/k/key"
    own_root, shut = ("--rootfs", "@W@/image"), ("rootless",)
    write = "echo @TOKEN@ >/x/{0} && cat /x/{0}"
    writable = '[process]\nuser = "root"\n[rootfs]\nread_only = false\n' \
        '[[exceptions]]\nsetting = "rootfs.read_only"\nreason = "an attempt"\n'  # fmt: skip
    return [
        Try("pattern: a name with a dot", volume("@W@/pat:/x:ro"), "cat /x/.env", limit.format("hidden_paths", "@W@/pat/*")),
        Try("pattern: a directory with a dot", volume("@W@/pat:/x:ro"), "cat /x/.d/key",
            limit.format("hidden_paths", "@W@/pat/*/key")),
        Try("pattern: brackets", volume("@W@/pat/[k]:/x:ro"), "cat /x", limit.format("hidden_paths", "@W@/pat/[k]")),
        Try("pattern: brackets and a question mark", volume("@W@/pat:/x:ro"), "cat /x/w[h]?",
            limit.format("hidden_paths", "@W@/p*t/w[h]?")),
        *(Try(f"pattern: masked, {name} {runtime}", own_root, f"cat /x/{path}",
              limit.format("masked_paths", f"/x/{pattern}"), runtime=runtime)
          for name, path, pattern in (("a dot", ".env", "*"), ("brackets", "[k]", "[k]*"))
          for runtime in ("", "crun", "runc")),
        *(Try(f"pattern: masked, {name} {runtime}", words, f"cat {place}", limit.format("masked_paths", pattern),
              runtime=runtime)
          for name, words, place, pattern in (
              ("in a volume", volume("@W@/hid:/x:ro"), "/x/sub/canary", "/x/*/canary"),
              ("from above a volume", volume("@W@/hid:/x:ro"), "/x/sub/canary", "/*/sub/canary"),
              ("a volume", volume("@W@/key:/run/key:ro"), "/run/key", "/run/k*"))
          for runtime in ("", "crun", "runc")),
        *(Try(f"pattern: read-only, in a volume {runtime}", volume("@W@/pub:/x"), "echo >/x/sub/new && echo @TOKEN@",
              limit.format("read_only_paths", "/x/s*"), runtime=runtime)
          for runtime in ("", "crun", "runc")),
        Try("pattern: masked, in a volume made elsewhere", ("@W@/hid:/x",), "cat /x/sub/canary",
            limit.format("masked_paths", "/x/*/canary"), always='[rootfs]\nvolumes.add = ["@W@/hid:/x:ro"]\n',
            runtime="apply"),
        Try("pattern: read-only, a dot", own_root, write.format(".env"), limit.format("read_only_paths", "/x/*"),
            always=writable, who=("root",)),
        Try("pattern: in what cannot be listed", volume("@W@/pat/closed/k/key:/x:ro"), "cat /x",
            limit.format("hidden_paths", "@W@/pat/closed/*/key"), closed.format("pat"), who=shut),
        Try("pattern: above what cannot be listed", volume("@W@/pat:/x:ro"), "cat /x/closed/k/key",
            limit.format("hidden_paths", "@W@/*/closed/*/key"), closed.format("pat"), who=shut),
        Try("pattern: masked, in what cannot be listed", own_root, "cat /x/closed/k/key",
            limit.format("masked_paths", "/x/closed/*/key"), closed.format("image/x"), who=shut),
        Try("pattern: a name in what cannot be searched, mounted elsewhere", volume("@W@/b:/x:ro"), "cat /x/key",
            limit.format("hidden_paths", "@W@/pat/closed/k/key"),
            f"{closed.format('pat')}; chmod 700 @W@/pat/closed; mount --bind @W@/pat/closed/k @W@/b", who=shut),
    ]  # fmt: skip


def _mounted() -> list[Try]:
    """Where the host has it mounted once more, in a mount namespace of its own."""
    bind, own = "mount --bind ", ("-v", "@W@/b:/x:ro")
    image = ("--rootfs", "@W@/image")
    homes = f"{bind}@W@/homes/ann @W@/home/ann; "
    return [
        Try("mounted: a bind", own, setup=f"{bind}@W@/hid @W@/b"),
        Try("mounted: a bind of a bind", ("-v", "@W@/b2:/x:ro"), setup=f"{bind}@W@/hid @W@/b; {bind}@W@/b @W@/b2"),
        Try("mounted: a part", own, setup=f"{bind}@W@/hid/sub @W@/b"),
        Try("mounted: the parent", ("-v", "@W@/b/hid:/x:ro"), setup=f"{bind}@W@ @W@/b"),
        Try("mounted: above the parent's other name", own, "cat /x/hid/canary", setup=f"{bind}@W@ @W@/b"),
        Try("mounted: above the bind", ("-v", "@W@:/x:ro"), "cat /x/b/canary", setup=f"{bind}@W@/hid @W@/b"),
        Try("mounted: a file", ("-v", "@W@/bf:/x:ro"), "cat /x", setup=f"{bind}@W@/key @W@/bf"),
        Try("mounted: a link to the bind", ("-v", "@W@/linkb:/x:ro"), setup=f"{bind}@W@/hid @W@/b"),
        Try("mounted: what is mounted in it", own, setup="mount -t tmpfs -o mode=755 tmpfs @W@/hid/inner; "
            f"echo @TOKEN@ >@W@/hid/inner/canary; {bind}@W@/hid/inner @W@/b"),
        Try("mounted: a tree", own, "cat /x/inner/canary", setup="mount -t tmpfs -o mode=755 tmpfs @W@/hid/inner; "
            "echo @TOKEN@ >@W@/hid/inner/canary; mount --rbind @W@/hid @W@/b"),
        Try("mounted: the host's root", (), "cat @W@/b/canary", setup=f"{bind}@W@/hid @W@/b"),
        Try("mounted: the host's root, a part", (), "cat @W@/b/canary", setup=f"{bind}@W@/hid/sub @W@/b"),
        Try("mounted: the host's root, the parent", (), "cat @W@/b/hid/canary", setup=f"{bind}@W@ @W@/b"),
        Try("mounted: the host's root, a file", (), "cat @W@/bf", setup=f"{bind}@W@/key @W@/bf"),
        Try("mounted: the host's root, by a link", (), "cat @W@/linkb/canary", setup=f"{bind}@W@/hid @W@/b"),
        Try("mounted: the host's root, where a home lies", (), "cat @W@/homes/ann/canary", HIDDEN_HOME, setup=homes),
        Try("mounted: a volume of where a home lies", ("-v", "@W@/homes/ann:/x:ro"), READ, HIDDEN_HOME, setup=homes),
        Try("mounted: above where a home lies", ("-v", "@W@/homes:/x:ro"), "cat /x/ann/canary", HIDDEN_HOME, setup=homes),
        Try("mounted: the root above", ("--rootfs", "@W@/image"), "cat /data/canary", setup=f"{bind}@W@/hid @W@/image/data"),
        Try("mounted: a part in the root", image, "cat /data/canary", setup=f"{bind}@W@/hid/sub @W@/image/data"),
        Try("mounted: crun", (), "cat @W@/b/canary", setup=f"{bind}@W@/hid/sub @W@/b", runtime="crun"),
        Try("mounted: an overlay", own, setup="mount -t overlay overlay -o lowerdir=@W@/hid:@W@/b2 @W@/b"),
        Try("mounted: an overlay by relative names", own, READ, "",
            "(cd @W@ && mount -t overlay overlay -o lowerdir=hid:b2 b)", NO_LAYERS, HIDDEN),
        Try("mounted: an overlay by names relative to what is far above", ("-v", "@W@/pub/sub:/x:ro"), READ, "",
            "(cd @W@ && mount -t overlay overlay -o lowerdir=b2:hid pub/sub)", NO_LAYERS, HIDDEN),
        Try("mounted: an overlay by names that others above it have, too", own, READ, "", "mkdir -p @W@/sub @W@/inner; "
            "(cd @W@/hid && mount -t overlay overlay -o lowerdir=sub:inner ../b)", NO_UNKNOWN, HIDDEN),
        *(Try(f"mounted: {name}, an overlay by names that climb", words, script, "",
              "(cd @W@/pub && mount -t overlay overlay -o lowerdir=../hid:../b2 ../b)", NO_UNKNOWN, HIDDEN)
          for name, words, script in (("itself", own, READ), ("above it", ("-v", "@W@:/x:ro"), "cat /x/b/canary"),
                                      ("the host's root", (), "cat @W@/b/canary"))),
        Try("mounted: runc", own, setup=f"{bind}@W@/hid @W@/b", runtime="runc"),
    ]  # fmt: skip


def _again() -> list[Try]:
    """Where that is shown again which shows it: binds and overlays of each other, and of overlays."""
    overlay = "mkdir -p @W@/b3 @W@/low; mount -t overlay overlay -o lowerdir=@W@/{0}:@W@/low @W@/{1}; "
    bind = "mount --bind @W@/{0} @W@/{1}; "
    ways = {
        "an overlay of an overlay": overlay.format("hid", "b") + overlay.format("b", "b3"),
        "a part of an overlay": overlay.format("hid", "b") + bind.format("b/sub", "b3"),
        "an overlay of a bind": bind.format("hid/sub", "b2") + overlay.format("b2", "b3"),
        "an overlay of a part of an overlay": overlay.format("hid", "b") + overlay.format("b/sub", "b3"),
        "a bind of an overlay of a bind of an overlay":
            overlay.format("hid", "b") + bind.format("b/sub", "b2") + overlay.format("b2", "pub/sub") +
            bind.format("pub/sub", "b3"),
    }  # fmt: skip
    image = "cp -aT @W@/image @W@/hid/image; " + overlay.format("hid/image", "b") + overlay.format("b", "b3")
    return [
        *(Try(f"again: {name}", volume("@W@/b3:/x:ro"), setup=setup) for name, setup in ways.items()),
        *(Try(f"again: {name}, above it", ("-v", "@W@:/x:ro"), "cat /x/b3/canary", setup=setup)
          for name, setup in ways.items()),
        *(Try(f"again: {name}, the host's root", (), "cat @W@/b3/canary", setup=setup) for name, setup in ways.items()),
        Try("again: a root", ("--rootfs", "@W@/b3"), "echo @TOKEN@", setup=image),
        Try("again: a root of a configuration made elsewhere", ("/:/", "@TOP@:@TOP@"), "cat @W@/b3/canary", runtime="apply",
            setup=ways["an overlay of an overlay"], who=("root",)),
    ]  # fmt: skip


def _led() -> list[Try]:
    """By overlays whose layers have names that lead, or led, elsewhere."""
    overlay = "mkdir -p @W@/b3 @W@/low; mount -t overlay overlay -o lowerdir=@W@/{0}:@W@/low @W@/b; "
    # What the name leads to now has the same names in it.
    alike = "mkdir -p @W@/alike; cp -a @W@/public/. @W@/hid/. @W@/alike; "
    planted = "rm -rf @W@/theirs; install -d -o nobody @W@/theirs; ln -s @W@/hid @W@/theirs/cur; "
    ways = {
        "a link that is gone": f"ln -sfn @W@/hid @W@/cur; {overlay.format('cur')} rm @W@/cur",
        "a link that leads elsewhere": f"ln -sfn @W@/hid @W@/cur; {overlay.format('cur')} ln -sfn @W@/public @W@/cur",
        "a link of somebody else's": f"{alike} {planted} {overlay.format('theirs/cur')} "
            "ln -sfn @W@/alike @W@/theirs/cur",
        "a directory of somebody else's": f"{alike} {planted} {overlay.format('theirs/cur')} "
            "rm @W@/theirs/cur; cp -aT @W@/alike @W@/theirs/cur",
        "what was mounted": f"mkdir -p @W@/b3; mount --bind @W@/hid @W@/b3; {overlay.format('b3')} umount @W@/b3",
        "its own place": "mkdir -p @W@/low; mount --bind @W@/hid @W@/b; "
            "mount -t overlay overlay -o lowerdir=@W@/b:@W@/low @W@/b",
    }  # fmt: skip
    shows = (("itself", volume("@W@/b:/x:ro"), READ), ("above it", ("-v", "@W@:/x:ro"), "cat /x/b/canary"),
             ("the host's root", (), "cat @W@/b/canary"))  # fmt: skip
    return [
        Try(f"led: {name}, {which}", words, script, "", setup, NO_UNKNOWN, HIDDEN)
        for which, words, script in shows for name, setup in ways.items()
    ]  # fmt: skip


def _under() -> list[Try]:
    """What a mount covers, or takes with it to another place."""
    covered = (
        "mkdir -p @W@/c/d @W@/u/d; cp -aT @W@/hid @W@/u/d/hid; mount -t tmpfs tmpfs @W@/c/d; mount --bind @W@/u @W@/c"
    )
    seen = '[limits.rootfs]\nhidden_paths.add = ["@W@/c/d/hid"]\n'
    inner = '[limits.rootfs]\nhidden_paths.add = ["@W@/hid/canary"]\n'
    alias = "mkdir -p @W@/c2; mount --bind @W@ @W@/c2; mount -t tmpfs tmpfs @W@/c2/hid"
    over = "mount -t tmpfs tmpfs @W@/hid"
    loose = "; mount --make-unbindable @W@/"
    moved = "mkdir -p @W@/ov; mount -t tmpfs tmpfs @W@/ov; mkdir @W@/ov/up @W@/ov/wk @W@/ov/m; " \
        "mount -t overlay overlay -o redirect_dir=on,lowerdir=@W@,upperdir=@W@/ov/up,workdir=@W@/ov/wk @W@/ov/m; " \
        "mv @W@/ov/m/hid @W@/ov/m/moved"  # fmt: skip
    apart = ("-v", "@W@/c2:/x:ro,bind")
    inside = "cat /x/hid/canary"
    return [
        Try("under: a name that a mount above has", ("-v", "@W@/u:/x:ro"), "cat /x/d/hid/canary", seen, covered),
        Try("under: the same in the host's root", (), "cat @W@/u/d/hid/canary", seen, covered),
        Try("under: a mount that does not go along", apart, inside, "", alias, NO_LEFT, HIDDEN, who=("root",)),
        Try("under: the same of apply", ("bind:@W@/c2:/x",), inside, "", alias, NO_LEFT,
            HIDDEN + '[rootfs]\nvolumes.add = ["@W@/c2:/x:ro"]\n', runtime="apply", who=("root",)),
        Try("under: over what is hidden", ("-v", "@W@:/x:ro,bind"), inside, "", over, NO_LEFT, inner, who=("root",)),
        Try("under: over what is hidden, in a part of the host's root", ("/:/", "bind:@TOP@:@TOP@"), "cat @W@/hid/canary",
            "", over, NO_LEFT, inner, runtime="apply", who=("root",)),
        Try("under: an unbindable mount", ("-v", "@W@/c2:/x:ro"), inside, "", alias + loose + "c2/hid", NO_LEFT, HIDDEN,
            who=("root",)),
        Try("under: the same in the host's root, over what is hidden", (), "cat @W@/hid/canary", "", over + loose + "hid",
            NO_LEFT, inner, who=("root",)),
        Try("under: at a place of the system", (), "cat /opt/canary", HIDDEN, "mount --bind @W@/hid/sub /opt"),
        Try("under: the other place of what is mounted in it", (), "cat /etc/opt/canary", HIDDEN,
            "mkdir -p @W@/hid/v; mount -t tmpfs tmpfs /etc/opt; echo @TOKEN@ >/etc/opt/canary; "
            "mount --bind /etc/opt @W@/hid/v"),
        Try("under: renamed in an overlay", ("-v", "@W@/ov/m/moved:/x:ro"), setup=moved),
        Try("under: renamed in an overlay, in the host's root", (), "cat @W@/ov/m/moved/canary", setup=moved),
    ]  # fmt: skip


def _roots() -> list[Try]:
    """Roots of one's own, images, and configurations made elsewhere."""
    inner = '[limits.rootfs]\nhidden_paths.add = ["@W@/image/data"]\n'
    named = '[rootfs]\nvolumes.add = ["@W@/hid:/x:ro"]\n'
    above = '[rootfs]\nvolumes.add = ["@W@:/x:ro"]\n'
    return [
        Try("root: above it", ("--rootfs", "@W@/image"), "cat /data/canary", inner,
            setup="echo @TOKEN@ >@W@/image/data/canary"),
        Try("root: itself", ("--rootfs", "@W@/image"), "echo @TOKEN@",
            '[limits.rootfs]\nhidden_paths.add = ["@W@/image"]\n'),
        Try("root: in it", ("--rootfs", "@W@/image"), "echo @TOKEN@", '[limits.rootfs]\nhidden_paths.add = ["@W@"]\n'),
        Try("root: in a home", ("--rootfs", "@CONFIG@/image"), "echo @TOKEN@",
            '[limits.rootfs]\nhidden_paths.add = ["@CONFIG@"]\n', setup="cp -aT @W@/image @CONFIG@/image"),
        Try("root: a bind of a part", ("--rootfs", "@W@/b"), "echo @TOKEN@",
            setup="cp -aT @W@/image @W@/hid/image; mount --bind @W@/hid/image @W@/b"),
        Try("root: in a bind of a part", ("--rootfs", "@W@/b/image"), "echo @TOKEN@",
            setup="mkdir -p @W@/hid/deep; cp -aT @W@/image @W@/hid/deep/image; mount --bind @W@/hid/deep @W@/b"),
        Try("root: a volume in another root", ("--rootfs", "@W@/image", *volume("@W@/hid:/data:ro")), "cat /data/canary"),
        Try("root: above it in another root", ("--rootfs", "@W@/image", *volume("@W@:/data:ro")), "cat /data/hid/canary"),
        Try("image: a volume", (*volume("@W@/hid:/data:ro"), "oci:@W@/layout"), "cat /data/canary", always=TRUSTED),
        Try("image: above it at a declared place", (*volume("@W@:/data:ro"), "oci:@W@/layout"), "cat /data/hid/canary",
            always=TRUSTED),
        Try("apply: a bind of the profile", ("@W@/hid:/x",), always=named, runtime="apply"),
        Try("apply: above it", ("@W@:/x",), "cat /x/hid/canary", always=above, runtime="apply"),
        Try("apply: a part of the host's root", ("/:/", "@TOP@:@TOP@"), "cat @W@/hid/canary", runtime="apply",
            who=("root",)),
        Try("apply: another name in the host's root", ("/:/", "@TOP@:@TOP@"), "cat @W@/b/canary", runtime="apply",
            setup="mount --bind @W@/hid @W@/b", who=("root",)),
        Try("apply: a copy of the running host's", ("/:/", "@TOP@:@TOP@", "copy:/run"), "cat /run/canary", "",
            "mount -t tmpfs tmpfs /run; echo @TOKEN@ >/run/canary", NO_COPIED, runtime="apply", who=("root",)),
        *(Try(f"apply: a copy of it {name}{runtime}", words, script, limit, setup, always=layer,
              runtime=f"apply{runtime}")
          for runtime in ("", " crun", " runc")
          for name, words, script, limit, setup, layer in (
              ("in the root", ("copy:/data",), "cat /data/canary", inner, "echo @TOKEN@ >@W@/image/data/canary",
               '[rootfs]\ntmpfs.add = ["/data:size=8M"]\n'),
              ("in a volume", ("@W@:/x", "copy:/x/hid"), "cat /x/hid/canary", HIDDEN, "",
               above + 'tmpfs.add = ["/x/hid:size=8M"]\n'))),
    ]  # fmt: skip


def _kernel() -> list[Try]:
    """What the kernel shows of itself, at another place."""
    shown = 'test -n "$(head -c 1 /x/{0})" && echo @TOKEN@'
    whole = 'test -n "$(head -c 1 /x)" && echo @TOKEN@'
    there = "test -e /x/{0} && echo @TOKEN@"
    tries = [
        ("/proc", "/proc:/x:ro", shown.format("cpuinfo"), ""),
        ("/proc, writable", "/proc:/x", shown.format("cpuinfo"), ""),
        ("/proc/sys", "/proc/sys:/x:ro", shown.format("kernel/ostype"), ""),
        ("kernel parameters", "/proc/sys/kernel:/x", shown.format("ostype"), ""),
        ("a file of /proc", "/proc/interrupts:/x:ro", whole, ""),
        ("/sys", "/sys:/x:ro", there.format("kernel"), ""),
        ("/sys/kernel", "/sys/kernel:/x:ro", there.format("mm"), ""),
        ("a class of /sys", "/sys/class:/x:ro", there.format("net"), ""),
        ("/dev", "/dev:/x:ro,dev", there.format("kmsg"), ""),
        ("a device", "/dev/kmsg:/x:ro,dev", "test -c /x && echo @TOKEN@", ""),
        ("a link", "@W@/linkproc:/x:ro", shown.format("cpuinfo"), ""),
        ("..", "@W@/../../../proc:/x:ro", shown.format("cpuinfo"), ""),
        ("/proc/self/root", "/proc/self/root@W@/pub:/x:ro", "cat /x/canary", ""),
        ("/proc/thread-self/root", "/proc/thread-self/root@W@/pub:/x:ro", "cat /x/canary", ""),
        ("/proc/self/cwd", "/proc/self/cwd@W@/pub:/x:ro", "cat /x/canary", ""),
        ("a bind", "@W@/b:/x:ro", shown.format("cpuinfo"), "mount --bind /proc @W@/b"),
        ("a bind of a part", "@W@/b:/x:ro", shown.format("ostype"), "mount --bind /proc/sys/kernel @W@/b"),
        (
            "a bind of a file",
            "@W@/bf:/x:ro",
            whole,
            "mount --bind /proc/interrupts @W@/bf",
        ),
        ("mounted anew", "@W@/b:/x:ro", shown.format("cpuinfo"), "mount -t proc proc @W@/b"),
        ("sysfs mounted anew", "@W@/b:/x:ro", there.format("kernel"), "mount -t sysfs sysfs @W@/b"),
        ("above", "/:/x:ro", shown.format("proc/cpuinfo"), ""),
        ("above a bind", "@W@:/x:ro", shown.format("b/cpuinfo"), "mount --bind /proc @W@/b"),
    ]
    found = [Try(f"kernel: {name}", volume(text), script, "", setup, NO_KERNEL) for name, text, script, setup in tries]
    image, host = ("--rootfs", "@W@/image"), ("/:/", "@TOP@:@TOP@")
    roots = [
        ("the host's root", (), "@W@/b", ("", "crun", "runc")),
        ("a root", image, "/data", ("", "crun", "runc")),
        ("the host's root made elsewhere", host, "@W@/b", ("apply",)),
        ("a root made elsewhere", (), "/data", ("apply", "apply crun", "apply runc")),
    ]
    shows = [
        ("proc", "cat {0}/cpuinfo >/dev/null && echo @TOKEN@", "mount -t proc proc {0}"),
        ("a part of proc", "cat {0}/ostype >/dev/null && echo @TOKEN@", "mount --bind /proc/sys/kernel {0}"),
        ("sysfs", "test -e {0}/kernel && echo @TOKEN@", "mount -t sysfs sysfs {0}"),
        (
            "the running system",
            "cat {0}/canary",
            "mount -t tmpfs tmpfs /run; echo @TOKEN@ >/run/canary; mount --bind /run {0}",
        ),
    ]
    for name, words, place, runtimes in roots:
        for runtime in runtimes:
            for what, script, setup in shows if runtime in ("", "apply") else shows[:1]:
                if what == shows[-1][0] and "host's" not in name:
                    continue
                on_host = place if place.startswith("@") else f"@W@/image{place}"
                who = ("root",) if words is host else ("root", "rootless")
                found.append(
                    Try(
                        f"kernel: {what} in {name} {runtime}".strip(),
                        words,
                        script.format(place),
                        "",
                        setup.format(on_host),
                        NO_KERNEL,
                        runtime=runtime,
                        who=who,
                    )
                )
    return found


def _limited() -> list[Try]:
    """From where, to where, with which options, sockets, and places in memory."""
    only, pub = '[limits.rootfs]\nvolume_sources = ["@W@/pub"]\n', "@W@/pub:/x"
    table = '[limits.rootfs.volume_sources]\n"*" = false\n"@W@" = true\n"@W@/hid" = false\n'
    options = "[limits.rootfs]\nvolume_options = []\n"
    sockets = "[limits.rootfs]\nvolume_sockets = false\n"
    memory = '[limits.rootfs]\ntmpfs = ["/tmp:size=1M"]\n'
    link = "/dev/shm/link"
    nodes = f"mount -t tmpfs -o mode=755 tmpfs /dev/shm; ln -s kept {link}; for name in kept other; do " \
        "touch /dev/shm/$name; mount --bind /dev/full /dev/shm/$name; done"  # fmt: skip
    write, big = "echo >{0}/new && echo @TOKEN@", "head -c 3000000 /dev/zero >{0}/new && echo @TOKEN@"
    return [
        Try("sources: another", volume("@W@/hid:/x:ro"), limit=only),
        Try("sources: above", volume("@W@:/x:ro"), "cat /x/hid/canary", only),
        Try("sources: ..", volume("@W@/pub/../hid:/x:ro"), limit=only),
        Try("sources: a link out", volume("@W@/pub/out:/x:ro"), limit=only),
        Try("sources: a name that begins alike", volume("@W@/public:/x:ro"), limit=only),
        Try("sources: none from there", volume("@W@/hid/sub:/x:ro"), limit=table),
        Try("sources: none from there, above", volume("@W@:/x:ro"), "cat /x/hid/canary", table),
        Try("sources: none from there, a bind", volume("@W@/b:/x:ro"), limit=table, setup="mount --bind @W@/hid @W@/b"),
        Try("destinations: another", volume("@W@/hid:/x:ro"), limit='[limits.rootfs]\nvolume_destinations = ["/data"]\n'),
        Try("destinations: above", volume("@W@/hid:/x:ro"), limit='[limits.rootfs]\nvolume_destinations = ["/x/y"]\n'),
        Try("options: writable", volume(f"{pub}:noexec"), write.format("/x"), options),
        Try("options: programs", volume(f"{pub}:ro"), "/x/program", options),
        Try("options: slave", volume(f"{pub}:ro,noexec,rslave"), "echo @TOKEN@", options),
        Try("options: idmap", volume(f"{pub}:ro,noexec,idmap"), "echo @TOKEN@", options, who=("root",)),
        Try("options: suid", volume(f"{pub}:ro,noexec,suid"), "echo @TOKEN@", options),
        Try("options: devices", volume(f"{pub}:ro,noexec,dev"), "echo @TOKEN@", options),
        Try("sockets: itself", volume("@W@/socks/s:/x:ro"), "test -S /x && echo @TOKEN@", sockets),
        Try("sockets: its directory", volume("@W@/socks:/x:ro"), "test -S /x/s && echo @TOKEN@", sockets),
        Try("sockets: far below", volume("@W@:/x:ro"), "test -S /x/socks/deep/er/s && echo @TOKEN@", sockets),
        Try("sockets: bound by a relative name", volume("@W@/socks2:/x:ro"), "test -S /x/deep/relative && echo @TOKEN@",
            sockets),
        Try("sockets: renamed", volume("@W@/socks3:/x:ro"), "test -S /x/deep/renamed && echo @TOKEN@",
            sockets),
        Try("sockets: a hard link", volume("@W@/socks4:/x:ro"), "test -S /x/deep/linked && echo @TOKEN@",
            sockets),
        Try("sockets: a bind", volume("@W@/b:/x:ro"), "test -S /x/s && echo @TOKEN@", sockets,
            "mount --bind @W@/socks/deep/er @W@/b"),
        Try("memory: a volume", volume("@W@/pub:/tmp"), big.format("/tmp"), memory),
        Try("memory: in it", volume("@W@/pub:/tmp/x"), big.format("/tmp/x"), memory),
        Try("memory: memory in it", ("--tmpfs", "/tmp/x:size=8M"), big.format("/tmp/x"),
            '[limits.rootfs]\ntmpfs."/tmp" = "1M"\n'),
        Try("memory: instead of none", ("--set", 'rootfs.tmpfs."/tmp"=none', *volume("@W@/pub:/tmp")), big.format("/tmp"),
            memory),
        Try("memory: /dev/shm", volume("@W@/pub:/dev/shm"), big.format("/dev/shm"), '[limits.rootfs]\nshm_size = "1M"\n'),
        Try("memory: memory at /dev/shm", ("--tmpfs", "/dev/shm:size=8M"), big.format("/dev/shm"),
            '[limits.rootfs]\nshm_size = "1M"\n'),
        Try("options: devices, where those are limited", volume(f"{pub}:ro,dev"), "echo @TOKEN@",
            '[limits.rootfs]\ndevices = []\n'),
        Try("options: devices, where one is limited", volume(f"{pub}:ro,dev"), "echo @TOKEN@",
            '[limits.rootfs]\ndevices.drop = ["/dev/fuse"]\n'),
        *(Try(f"devices: {name}", ("--device", path, "--exception", f"rootfs.devices.{path}=x"),
              f"head -c 1 {path} >/dev/null && echo @TOKEN@",
              '[limits.rootfs]\ndevices.drop = ["/dev/shm/kept"]\n', nodes)
          for name, path in (("a link", link), ("another node", "/dev/shm/other"))),
        *(Try(f"devices: a node of a writable root, {runtime}", ("--rootfs", "@W@/image", "--set", "rootfs.read_only=false",
              "--exception", "rootfs.read_only=x"), "head -c 1 /x/node >/dev/null && echo @TOKEN@",
              "[limits.rootfs]\ndevices = []\n", "rm -f @W@/image/x/node; mknod -m 666 @W@/image/x/node c 1 7",
              runtime=runtime, who=("root",))
          for runtime in ("crun", "runc")),
        *(Try(f"devices: a node of a root made elsewhere, {runtime}", (), "head -c 1 /x/node >/dev/null && echo @TOKEN@",
              "[limits.rootfs]\ndevices = []\n", "rm -f @W@/image/x/node; mknod -m 666 @W@/image/x/node c 1 7",
              runtime=f"apply {runtime}", who=("root",))
          for runtime in ("crun", "runc")),
        Try("options: slave, where propagation is limited", volume(f"{pub}:ro,rslave"), "echo @TOKEN@",
            '[limits.rootfs]\npropagation = "private"\n'),
        Try("memory: by a link of the root", ("--rootfs", "@W@/image", "--tmpfs", "/also/x:size=8M"), big.format("/tmp/x"),
            always='[limits.rootfs]\ntmpfs."/tmp" = "1M"\n', limit="", code=NO_OWN_NAME),
        Try("memory: another runtime", volume("@W@/pub:/tmp"), big.format("/tmp"), memory, runtime="crun"),
    ]  # fmt: skip


def _by_others() -> list[Try]:
    """What a limit withholds, by a setting of another mechanism, an image, or a configuration made elsewhere."""
    variables = '[limits.process]\nenvironment = ["TERM"]\n'
    without = '[limits.process]\nenvironment.drop = ["LD_X"]\n'
    places = '[limits.rootfs]\nvolume_destinations = ["/data"]\n'
    linked = (*volume("@W@/pub:/x:ro"), *volume("@W@/key:/x/etc/passwd:ro"))
    denied = '[limits.rootfs.volume_destinations]\n"*" = true\n"/etc" = false\n'
    secret = ("--secret", "token,type=env,target=LD_X")
    own_root = ("--rootfs", "@W@/image")
    return [
        Try("variables: set", ("-e", "LD_X=@TOKEN@"), "echo $LD_X", variables),
        Try("variables: set by a key", ("--set", 'process.set_environment.LD_X="@TOKEN@"'), "echo $LD_X", variables),
        Try("variables: a secret", secret, "echo $LD_X", variables),
        Try("variables: a secret, where one is named", secret, "echo $LD_X", without),
        Try("variables: a secret, with an exception", (*secret, "--exception", "process.environment.LD_X=x"),
            "echo $LD_X", variables),
        Try("variables: of an image", ("oci:@W@/layout",), "echo $LD_X", variables, always=TRUSTED),
        Try("variables: apply", (), "echo $LD_X", variables, runtime="apply"),
        Try("variables: apply, where one is named", (), "echo $LD_X", without, runtime="apply"),
        Try("destinations: a secret", (*own_root, "--secret", "token,target=/etc/key"), "cat /etc/key", places),
        *(
            Try(f"destinations: {name}, by a link of the root", (*own_root, *words), "cat /etc/key", "", always=denied,
                code=NO_OWN_NAME, runtime=runtime)
            for name, words, runtime in (
                ("a volume", volume("@W@/key:/alias/key:ro"), ""),
                ("a volume under crun", volume("@W@/key:/alias/key:ro"), "crun"),
                ("a secret", ("--secret", "token,target=/alias/key"), ""),
            )
        ),
        *(
            Try(f"destinations: by a link in a volume {runtime}", linked, "cat /etc/passwd", "", always=denied,
                code=NO_OWN_NAME, runtime=runtime)
            for runtime in ("", "crun", "runc")
        ),
        *(
            Try(f"apply: {name}, by a link of the root", words, script, "", always=limit + layer, code=NO_LED,
                runtime="apply")
            for name, words, script, limit, layer in (
                ("a volume", ("@W@/key:/alias/kept",), "cat /etc/kept", denied,
                 '[rootfs]\nvolumes.add = ["@W@/key:/alias/kept:ro"]\n'),
                ("a place in memory", ("tmpfs:/also",), "head -c 3000000 /dev/zero >/tmp/new && echo @TOKEN@",
                 '[limits.rootfs]\ntmpfs."/tmp" = "1M"\n', '[rootfs]\ntmpfs.add = ["/also:size=8M"]\n'),
                ("a secret", ("secret:/alias/kept",), "cat /etc/kept", denied,
                 '[secrets]\ngiven.add = ["token,target=/alias/kept"]\n'),
            )
        ),
        Try("root: apply", (), "echo @TOKEN@", '[limits.rootfs]\npath = "@W@/another"\n', runtime="apply"),
    ]  # fmt: skip


def _groups() -> list[Try]:
    """Files of a group: by the account of another root, as the first group, and by a number."""
    none, host = "[limits.process]\ngroups = []\n", HOSTS_IDS
    setup = "mkdir -p @W@/g; echo @TOKEN@ >@W@/g/canary; chown 0:{0} @W@/g @W@/g/canary; chmod 050 @W@/g; " \
        "chmod 040 @W@/g/canary; cp -aT @W@/image @W@/evil; mkdir -p @W@/evil/etc; " \
        "echo evil:x:1000:{0}::/: >@W@/evil/etc/passwd"  # fmt: skip
    own_root = ("--rootfs", "@W@/evil", *volume("@W@/g:/x:ro,idmap"))
    shown = volume("@W@/g:/x:ro")
    one = '[limits.process]\nuser = "{0}"\n'
    tries = [
        ("an account's, root's", (*own_root, "-u", "1000"), one.format("1000"), 0, ""),
        ("an account's, by name", (*own_root, "-u", "evil"), one.format("evil"), 0, ""),
        ("an account's", (*own_root, "-u", "1000"), one.format("1000"), 6, ""),
        ("an account's, as one of the groups", (*own_root, "-u", "1000"), none, 6, ""),
        ("that of the number", (*own_root, "-u", "6"), none, 6, ""),
        ("the first", (*shown, "-u", "1000:6"), none, 6, host),
        ("the first, by name", (*shown, "-u", "1000:disk"), none, 6, host),
        ("the first, of the number", (*shown, "-u", "6:6"), none, 6, host),
        ("by number", (*shown, "-u", "1000:1000", "--group-add", "6", "--exception", "process.groups.6=x"),
         '[limits.process]\ngroups.drop = ["disk"]\n', 6, host),
    ]  # fmt: skip
    return [
        Try(f"groups: {name}", words, READ, limit, setup.format(gid), always=always, who=("root",))
        for name, words, limit, gid, always in tries
    ]


def _deciding() -> list[Try]:
    """What decides the next call."""
    write = "echo >{0}/new && echo @TOKEN@"
    return [
        Try("deciding: profiles", volume("@CONFIG@/hardening:/x"), write.format("/x"), "", code=NO_DECIDING,
            always=PERMITTED),
        Try("deciding: above profiles", volume("@CONFIG@:/x"), write.format("/x"), "", code=NO_DECIDING, always=PERMITTED),
        Try("deciding: a profile of this run", volume("@CONFIG@/../team:/x"), write.format("/x"), "", code=NO_PROFILES,
            always='extends = ["@CONFIG@/../team/deep/team.toml"]\n',
            who=("rootless",)),
        Try("deciding: policies", volume("@CONFIG@/containers:/x"), write.format("/x"), "", code=NO_DECIDING,
            always=PERMITTED),
    ]  # fmt: skip


#: The homes are shown, so that it is the one rule that makes the difference.
PERMITTED = '[rootfs]\nhidden_paths.drop = ["~", "/home"]\n'
HOSTS_IDS = '[namespaces]\nuser = "host"\n[[exceptions]]\nsetting = "namespaces.user"\nreason = "an attempt"\n'
TRUSTED = '[trust]\ndefault = "accept"\n'
TRIES: tuple[Try, ...] = (
    *_hidden(),
    *_above(),
    *_within(),
    *_patterns(),
    *_mounted(),
    *_again(),
    *_led(),
    *_under(),
    *_roots(),
    *_kernel(),
    *_limited(),
    *_by_others(),
    *_groups(),
    *_deciding(),
)
