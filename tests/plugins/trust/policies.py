"""Texts of policies, and what is wrong with each: `skopeo` is asked about the same ones."""

from __future__ import annotations

DIGEST = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
REKOR = "rekorPublickeyPath, rekorPublicKeyPaths, rekorPublickeyData and rekorPublicKeyDatas"
SOURCES = "exactly one of keyPath, keyPaths, keyData, keyDatas, fulcio, and pki must be specified"
GPG = "Exactly one of keyPath, keyPaths and keyData must be specified"
FULCIO = '{"caPath": "/c", "oidcIssuer": "https://x", "subjectEmail": "a@b"}'


def default(requirement: str) -> str:
    """A policy whose default is one requirement."""
    return f'{{"default": [{requirement}]}}'


def signed_by(rest: str) -> str:
    """A policy that wants a simple signature."""
    return default(f'{{"type": "signedBy", "keyType": "GPGKeys", {rest}}}')


def identity(rest: str) -> str:
    """A policy that wants a simple signature with an identity."""
    return signed_by(f'"keyPath": "/a", "signedIdentity": {rest}')


def sigstore(rest: str) -> str:
    """A policy that wants a sigstore signature."""
    return default(f'{{"type": "sigstoreSigned", {rest}}}')


def scope(transport: str, name: str) -> str:
    """A policy with one scope."""
    reject = '[{"type": "reject"}]'
    return f'{{"default": {reject}, "transports": {{"{transport}": {{"{name}": {reject}}}}}}}'


ID = "0123456789abcdef" * 4
_STORAGE = "[overlay@/var/lib/containers/storage]"
#: transport and scope, of which no program knows what it could mean
WITHOUT_MEANING = (
    ("docker-daemon", DIGEST),
    ("docker-daemon", f"sha384:{'0' * 96}"),
    ("docker-daemon", f"sha512:{'0' * 128}"),
    *(
        ("containers-storage", name)
        for name in (
            "busybox", "[", "[/a", "[]", "[relative/path]", "[overlay@relative/path]", "[@/a]", "[overlay@]", "[a]b]", "]",
        )
    ),
    *(
        ("containers-storage", f"{_STORAGE}docker.io/library/busybox{end}")
        for end in (
            "@", "@sha256:ab", "@ab", f"@@{ID}", f"@ab@{ID}", f"@sha256:ab@{ID}", f"@{DIGEST}@", f"@{DIGEST}@ab",
            f"@{ID}@{ID}", f"@{DIGEST}@{ID}@x", f"@{ID.upper()}", f"@SHA256:{ID}",
        )
    ),
)  # fmt: skip

#: text -> the message of both programs
REFUSED = {
    "{}": "Default policy is missing",
    '{"default": []}': "List of verification policy requirements must not be empty",
    '{"default": [{"type": "reject"}], "transports": {"docker": {"a": []}}}': "requirements must not be empty",
    default('{"type": "x"}'): 'Unknown policy requirement type "x"',
    default('{"keyPath": "/a"}'): 'Unknown policy requirement type ""',
    default('{"type": "reject", "a": 1}'): 'Unknown key "a"',
    default('{"type": "insecureAcceptAnything", "keyPath": "/a"}'): 'Unknown key "keyPath"',
    default('{"type": "reject", "type": "reject"}'): 'Duplicate key "type"',
    '{"default": [{"type": "reject"}], "foo": 1}': 'Unknown key "foo"',
    '{"Default": [{"type": "reject"}]}': 'Unknown key "Default"',
    '{"default": [{"type": "reject"}], "default": [{"type": "reject"}]}': 'Duplicate key "default"',
    '{"default": [{"type": "reject"}], "transports": {"docker": null}}': "JSON object expected",
    '{"default": [{"type": "reject"}], "transports": []}': "JSON object expected",
    "[]": "JSON object expected",
    default('{"type": "signedBy"}'): f"{GPG}, none of them present",
    default('{"type": "signedBy", "keyType": "GPGKeys"}'): f"{GPG}, none of them present",
    default('{"type": "signedBy", "keyType": "x", "keyPath": "/a"}'): 'Unrecognized keyType value "x"',
    default('{"type": "signedBy", "keyPath": "/a"}'): 'invalid keyType ""',
    signed_by('"keyPath": "/a", "keyData": "YQ=="'): f"{GPG}, more than one present",
    signed_by('"keyPath": "/a", "keyPaths": ["/a"]'): f"{GPG}, more than one present",
    signed_by('"keyPath": ""'): "exactly one of keyPath, keyPaths and keyData must be specified",
    signed_by('"keyData": "!!"'): "illegal base64 data",
    identity('{"type": "x"}'): 'Unknown policy reference match type "x"',
    identity('{"type": "matchExact", "x": 1}'): 'Unknown key "x"',
    identity('{"type": "exactReference"}'): 'Key "dockerReference" missing in a JSON object',
    identity('{"type": "exactReference", "dockerReference": "busybox"}'): (
        'dockerReference "busybox" contains neither a tag nor digest'
    ),
    identity('{"type": "exactReference", "dockerReference": "Busy:x"}'): 'Invalid format of dockerReference "Busy:x"',
    identity('{"type": "exactRepository", "dockerRepository": "A"}'): 'Invalid format of dockerRepository "A"',
    identity('{"type": "remapIdentity", "prefix": "a"}'): 'Key "signedPrefix" missing in a JSON object',
    identity('{"type": "remapIdentity", "prefix": "a b", "signedPrefix": "b"}'): 'prefix "a b" is not valid',
    identity('{"type": "remapIdentity", "prefix": "", "signedPrefix": "b"}'): 'prefix "" is not valid',
    identity('{"type": "remapIdentity", "prefix": "a:1", "signedPrefix": "b/C"}'): 'prefix "b/C" is not valid',
    identity('{"type": "remapIdentity", "prefix": "a_b", "signedPrefix": "b"}'): 'prefix "a_b" is not valid',
    identity('{"type": "remapIdentity", "prefix": "a", "signedPrefix": "x/y:t"}'): 'prefix "x/y:t" is not valid',
    sigstore('"signedIdentity": {"type": "matchExact"}'): SOURCES,
    sigstore('"keyPath": "/a", "keyData": "YQ=="'): SOURCES,
    sigstore('"keyPath": ""'): SOURCES,
    sigstore('"keyPaths": []'): '"keyPaths" contains no entries',
    sigstore('"keyDatas": []'): '"keyDatas" contains no entries',
    sigstore('"keyPath": "/a", "keyType": "GPGKeys"'): 'Unknown key "keyType"',
    sigstore('"keyPath": "/a", "rekorPublicKeyPath": "/r", "rekorPublicKeyData": "YQ=="'): (
        f"at most one of {REKOR} can be used simultaneously"
    ),
    sigstore('"fulcio": {"caPath": "/c"}'): "oidcIssuer not specified",
    sigstore('"fulcio": {"caPath": "/c", "oidcIssuer": "x"}'): "subjectEmail not specified",
    sigstore(
        '"fulcio": {"oidcIssuer": "x", "subjectEmail": "y"}'
    ): "At least one of caPath and caData must be specified",
    sigstore('"fulcio": {"caPath": "/c", "caData": "YQ==", "oidcIssuer": "x", "subjectEmail": "y"}'): (
        "caPath and caData cannot be used simultaneously"
    ),
    sigstore(f'"fulcio": {FULCIO}'): f"At least one of {REKOR} must be specified if fulcio is used",
    sigstore('"pki": {"caRootsPath": "/c"}'): "At least one of subjectEmail, subjectHostname must be specified",
    sigstore('"pki": {"caRootsPath": "/c", "subjectHostname": "h", "foo": 1}'): 'Unknown key "foo"',
    default('{"type": "signedBaseLayer"}'): 'Key "baseLayerIdentity" missing in a JSON object',
    scope("dir", "a"): 'Unknown key "a"',
    scope("dir", "/"): 'Unknown key "/"',
    scope("dir", "/x/"): 'Unknown key "/x/"',
    scope("dir", "/a/../b"): 'Unknown key "/a/../b"',
    scope("oci", "a"): 'Unknown key "a"',
    scope("docker-archive", "/x.tar"): 'Unknown key "/x.tar"',
    scope("tarball", "x"): 'Unknown key "x"',
    **{text: f'Unknown key "{name}"' for transport, name in WITHOUT_MEANING for text in [scope(transport, name)]},
    sigstore('"pki": {"caRootsPath": "/c", "subjectHostname": "h"}, "rekorPublicKeyPath": "/r"'): (
        f"{REKOR} are not supported for pki"
    ),
    **{
        identity(f'{{"type": "{kind}", "{member}": "{name}{end}"}}'): f'Invalid format of {member} "{name}{end}"'
        for kind, member, end in (
            ("exactReference", "dockerReference", ":1"),
            ("exactRepository", "dockerRepository", ""),
        )
        for name in ("Foo/bar", "Localhost/bar", "[::1]:5000/x", "a" * 238, f"docker.io/{'a' * 238}", f"x/{'a' * 244}")
    },
    identity('{"type": "remapIdentity", "prefix": "[::1]:5000", "signedPrefix": "b"}'): 'prefix "[::1]:5000" is not',
    identity(
        '{"type": "remapIdentity", "prefix": "b", "signedPrefix": "[::1]:5000/x"}'
    ): 'prefix "[::1]:5000/x" is not',
}

#: what both programs take
TAKEN = (
    default('{"type": "reject"}'),
    default('{"type": "insecureAcceptAnything"}'),
    default('{"type": "signedBy", "keyType": "X509Certificates", "keyPath": "/a"}'),
    signed_by('"keyPath": "a"'),
    signed_by('"keyPaths": []'),
    signed_by('"keyPaths": ["/a", "/b"]'),
    signed_by('"keyData": "YQ=="'),
    identity('{"type": "matchExact"}'),
    identity('{"type": "matchRepository"}'),
    identity('{"type": "matchRepoDigestOrExact"}'),
    identity('{"type": "exactReference", "dockerReference": "busybox:1"}'),
    identity(f'{{"type": "exactReference", "dockerReference": "busybox@{DIGEST}"}}'),
    identity('{"type": "exactRepository", "dockerRepository": "localhost:5000/x"}'),
    identity('{"type": "exactRepository", "dockerRepository": "busybox:1"}'),
    identity('{"type": "remapIdentity", "prefix": "localhost:5000", "signedPrefix": "b/c_d"}'),
    sigstore('"keyPath": "/a", "signedIdentity": {"type": "matchExact"}'),
    sigstore('"keyDatas": ["YQ==", "Yg=="], "rekorPublicKeyPath": "/r"'),
    sigstore(f'"fulcio": {FULCIO}, "rekorPublicKeyData": "YQ=="'),
    sigstore('"pki": {"caRootsPath": "/c", "subjectEmail": "a@b"}'),
    sigstore('"keyPath": "/a", "rekorPublicKeyPath": "rekor.pub"'),
    sigstore('"keyPath": "/a", "rekorPublicKeyPaths": ["/r", "rekor.pub"]'),
    sigstore('"pki": {"caRootsPath": "/c", "caIntermediatesPath": "ca.pem", "subjectEmail": "a@b"}'),
    default('{"type": "signedBaseLayer", "baseLayerIdentity": {"type": "matchExact"}}'),
    '{"default": [{"type": "reject"}, {"type": "insecureAcceptAnything"}], "transports": {}}',
    scope("docker", ""),
    scope("docker", "not a host"),
    scope("nosuch", "not a host"),
    scope("dir", "/a/b"),
    scope("oci", "/a/b:tag"),
    scope("oci", "/x/:y"),
    scope("docker-daemon", "busybox"),
    scope("oci-archive", "/x.tar"),
    scope("atomic", "x"),
    scope("atomic", "h:5000/ns/stream:tag"),
    *(scope("docker-daemon", name) for name in ("sha256:ab", f"md5:{ID}", f"busybox@{DIGEST}")),
    *(
        scope("containers-storage", f"{storage}{name}")
        for storage in ("[/a]", "[overlay@/a/../b]", "[/a@/b]", "[x@/a@b]")
        for name in ("", "busybox:1", f"busybox@{ID}", f"@{DIGEST}", f"b@sha512:{'0' * 128}", f"B..@{DIGEST}@{ID}")
    ),
    identity('{"type": "exactRepository", "dockerRepository": "Foo.b/x"}'),
    identity(f'{{"type": "exactRepository", "dockerRepository": "x/{"a" * 243}"}}'),
    identity('{"type": "remapIdentity", "prefix": "Foo", "signedPrefix": "Foo/b"}'),
)
