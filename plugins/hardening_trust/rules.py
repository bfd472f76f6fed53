"""What is wrong with policies (`hardening_trust.lint`), as `hardening.mechanism.mechanism.Mechanism.rules` has it."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule, Severity

RULES: Mapping[str, FindingRule] = {
    "accepts-all": FindingRule(
        "HRD701",
        "A policy that accepts every image",
        "An image of whoever answers first runs, and no other scope stops it.",
        'Write `default = "reject"`, and name what is accepted.',
        '[trust]\ndefault = "accept"\n',
        '[trust]\ndefault = "reject"\n',
    ),
    "accepts-transport": FindingRule(
        "HRD702",
        "A policy that accepts all of a transport",
        "All images of that kind are accepted; of one that has no scopes to name, such as a daemon, this is a note.",
        "Name the scopes that are accepted.",
        '[trust]\ndefault = "reject"\n[trust.docker]\n"" = "accept"\n',
        '[trust]\ndefault = "reject"\n[trust.docker]\n"docker.io/library" = "accept"\n',
    ),
    "never-matches": FindingRule(
        "HRD703",
        "A trust scope that never matches",
        "No image has this name: a short one, one with a scheme or capital letters, or a wildcard with a port. What it "
        "requires is required of nothing, and the default decides.",
        "Spell the name out as the registry has it, or remove the scope.",
        '[trust]\ndefault = "reject"\n[trust.docker]\n"busybox" = "accept"\n',
        '[trust]\ndefault = "reject"\n[trust.docker]\n"docker.io/library/busybox" = "accept"\n',
    ),
    "capital-host": FindingRule(
        "HRD704",
        "A trust scope whose host has capital letters",
        "Scopes are compared letter by letter: it is another host than the one in small letters.",
        "Write it in small letters, unless images are named with capitals.",
        '[trust]\ndefault = "reject"\n[trust.docker]\n"Quay.io/team" = "accept"\n',
        '[trust]\ndefault = "reject"\n[trust.docker]\n"quay.io/team" = "accept"\n',
    ),
    "namespace": FindingRule(
        "HRD705",
        "A namespace of docker.io that looks like an image",
        "`docker.io/NAME` is the namespace of NAME's images; the image NAME is `docker.io/library/NAME`.",
        "Write the scope that is meant.",
        '[trust]\ndefault = "reject"\n[trust.docker]\n"docker.io/busybox" = "accept"\n',
        '[trust]\ndefault = "reject"\n[trust.docker]\n"docker.io/library/busybox" = "accept"\n',
        severity=Severity.NOTE,
    ),
    "never-holds": FindingRule(
        "HRD706",
        "A requirement that no image can fulfil",
        "Every image of the scope is refused, as by `reject`, and whoever reads it thinks that signed ones are not.",
        "Require something else.",
        '[trust]\ndefault = "reject"\n[trust.oci]\n"/srv/images" = { signedBy = "/etc/keys/team.gpg" }\n',
        '[trust]\ndefault = "reject"\n[trust.docker]\n"docker.io/team" = { signedBy = "/etc/keys/team.gpg" }\n',
    ),
    "key-missing": FindingRule(
        "HRD707",
        "A key that is not there",
        "A file of keys, or of certificates that are only carried, is not there: every image of the scope is refused.",
        "Install it, or name another.",
        severity=Severity.ERROR,
    ),
    "key-relative": FindingRule(
        "HRD708",
        "A key that is looked up from the working directory",
        "A policy.json names it from the working directory: which key it is depends on where somebody stands.",
        "Write the whole path.",
    ),
    "key-unsafe": FindingRule(
        "HRD709",
        "A key that others could write",
        "Others than its owner and root could write the file, or a directory above it, and put a key of theirs there.",
        "Take the right away, or keep the key elsewhere.",
        severity=Severity.ERROR,
    ),
    "key-unusable": FindingRule(
        "HRD710",
        "A key that cannot verify anything",
        "It holds no OpenPGP key, or one that cannot sign; for `sigstoreSigned`, no public key in PEM, or one of a "
        "kind that is not taken.",
        "Export one that signs: `gpg --export KEY`.",
        severity=Severity.ERROR,
    ),
    "key-expired": FindingRule(
        "HRD711",
        "A key that has expired",
        "It, or every subkey of it that could sign, has expired: no newer signature by it is valid.",
        "Have it prolonged by its owner, and export it again.",
        severity=Severity.ERROR,
    ),
    "key-revoked": FindingRule(
        "HRD712",
        "A key that is revoked",
        "It, or every subkey of it that could sign, is revoked: no signature by it is valid.",
        "Replace it.",
        severity=Severity.ERROR,
    ),
}
