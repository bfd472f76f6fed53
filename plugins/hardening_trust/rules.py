"""What is wrong with policies (`hardening_trust.lint`), as `hardening.mechanism.mechanism.Mechanism.rules` has it."""

from __future__ import annotations

from collections.abc import Mapping

from hardening.mechanism.findings import FindingRule

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
        "No image has this name: a short one, one with a scheme or capital letters, or a wildcard with a port. "
        "What it requires is "
        "required of nothing, and the default decides.",
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
    ),
    "never-holds": FindingRule(
        "HRD706",
        "A requirement that no image can fulfil",
        "Every image of the scope is refused, as by `reject`, and whoever reads it thinks that signed ones are not.",
        "Require something else.",
        '[trust]\ndefault = "reject"\n[trust.oci]\n"/srv/images" = { signedBy = "/etc/keys/team.gpg" }\n',
        '[trust]\ndefault = "reject"\n[trust.docker]\n"docker.io/team" = { signedBy = "/etc/keys/team.gpg" }\n',
    ),
    "key-missing": FindingRule("HRD707", "A key that is not there"),
    "key-relative": FindingRule("HRD708", "A key that is looked up from the working directory"),
    "key-unsafe": FindingRule("HRD709", "A key that others could write"),
    "key-unusable": FindingRule("HRD710", "A key that cannot verify anything"),
    "key-expired": FindingRule("HRD711", "A key that has expired"),
    "key-revoked": FindingRule("HRD712", "A key that is revoked"),
}
