#!/bin/sh
# From a policy that believes everybody to one that believes signatures, and back: every step with the programs that are
# in use for it. Run it in an empty directory, with a registry of your own that speaks plain HTTP:
#
#   docker-registry serve config.yml &
#   sh walk-through.sh 127.0.0.1:5000
#
# It needs hardening, skopeo, umoci, busybox and GnuPG, and touches nothing outside of the directory but the registry, and
# hardening's own store of images. Each step says what it shows, and the first that does not ends the script.
set -eu
registry=$1
work=$PWD

step() { echo "== $*"; }
# refused MESSAGE COMMAND...: the command fails, and says why.
refused() {
    words=$1
    shift
    if "$@" >output 2>&1; then
        echo "this should have been refused: $*" && exit 1
    fi
    grep -F "$words" output || { cat output && exit 1; }
}
# The key lies in a home of its own, and its agent ends with the script; so does the server of signatures.
export GNUPGHOME="$work/gnupg"
server=
trap 'gpgconf --kill all; [ -z "$server" ] || kill "$server"' EXIT

step "a policy: nothing of docker.io but its official images, and nothing else at all"
cat >before.toml <<'END'
extends = ["default"]
END
cp before.toml policy.toml
hardening trust set --into policy.toml -t reject default
hardening trust set --into policy.toml -t reject docker.io
hardening trust set --into policy.toml -t accept docker.io/library
hardening trust explain -p ./policy.toml docker.io/library/busybox | grep required
refused "Running image docker://docker.io/someone/tool:latest is rejected by policy." \
    hardening trust verify -p ./policy.toml docker.io/someone/tool
refused "Running image docker://$registry/team/app:1 is rejected by policy." \
    hardening run -p ./policy.toml --tls-verify=false "$registry/team/app:1" -- /bin/busybox true

step "two images in a registry: one that will be signed, and one that will not"
mkdir bin
cp "$(command -v busybox)" bin/busybox
umoci init --layout layout
for name in app other; do
    umoci new --image "layout:$name"
    umoci insert --rootless --image "layout:$name" bin /bin
    umoci config --image "layout:$name" --author "$name"
    skopeo copy --quiet --insecure-policy --dest-tls-verify=false "oci:layout:$name" "docker://$registry/team/$name:1"
done

step "a key, and the image signed with it, into a directory of signatures"
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-gen-key 'Team <team@example.com>' ed25519 sign
gpg --batch --export --output team.gpg team@example.com
mkdir signatures registries.d
cat >registries.d/team.yaml <<END
docker:
  $registry:
    lookaside-staging: file://$work/signatures
END
hardening trust sign --registries-d registries.d --tls-verify=false --key team@example.com "$registry/team/app:1"

step "the signatures, shared over HTTP"
hardening trust serve signatures 127.0.0.1:0 >address &
server=$!
until [ -s address ]; do sleep 0.1; done

step "the policy believes the key, and knows where its signatures are"
hardening trust set --into policy.toml -f team.gpg "$registry/team"
cat >>policy.toml <<END

[trust.lookaside]
"$registry" = "$(cat address)"
END
hardening trust show -p ./policy.toml

step "the signed image is accepted, pulled and run"
hardening trust verify -p ./policy.toml --tls-verify=false "$registry/team/app:1"
hardening pull -q -p ./policy.toml --tls-verify=false "$registry/team/app:1"
hardening run -q -p ./policy.toml "$registry/team/app:1" -- /bin/busybox echo "hello from a signed image"

step "the one without a signature is refused, by all of them"
refused "A signature was required, but no signature exists" \
    hardening run -p ./policy.toml --tls-verify=false "$registry/team/other:1" -- /bin/busybox true
hardening trust export -p ./policy.toml containers
refused "Source image rejected: A signature was required, but no signature exists" \
    skopeo --policy containers/policy.json --registries.d containers/registries.d \
    copy --quiet --src-tls-verify=false "docker://$registry/team/other:1" dir:copy
skopeo --policy containers/policy.json --registries.d containers/registries.d \
    copy --quiet --src-tls-verify=false "docker://$registry/team/app:1" dir:copy

step "a signature does not go with another image, whatever it is called"
skopeo copy --quiet --insecure-policy --src-tls-verify=false --dest-tls-verify=false \
    "docker://$registry/team/other:1" "docker://$registry/team/app:1"
refused "A signature was required, but no signature exists" \
    hardening trust verify -p ./policy.toml --tls-verify=false "$registry/team/app:1"

step "a policy that is tightened stops an image that has long been here"
hardening trust set --into policy.toml -t reject "$registry/team"
refused "Running image docker://$registry/team/app:1 is rejected by policy." \
    hardening run -p ./policy.toml "$registry/team/app:1" -- /bin/busybox true

step "everything as it was before"
hardening rmi "$registry/team/app:1" >/dev/null
cp before.toml policy.toml
hardening trust show -p ./policy.toml
