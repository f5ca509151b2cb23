#!/usr/bin/env bash
# Images for compose.yaml where no registry of images can be reached: stand-ins, made of Debian 12
# packages and of binaries built before. PD, TiKV and the load are the embedded lab's nodes, behind
# the real ones' command lines, names and ports. `tests/engine/standins.env` has the variables by
# which compose.yaml takes them; no tag of a real image is touched.
#
#   tests/engine/images.sh [FOLDER]     FOLDER has operator-tui and agent_lab; else target/debug
#
# Mirrors, indexes and certificates are this machine's own, as apt and pip are set up here.
set -euo pipefail
cd "$(dirname "$0")/../.."

binaries=${1:-target/debug}
here=tests/engine/standins
tag=standin
# The builder that every engine has, so that it is the one that is tried.
export DOCKER_BUILDKIT=0

say() { printf 'images: %s (%s s)\n' "$*" "$SECONDS"; }
fail() { printf 'images: %s\n' "$*" >&2; exit 1; }

for program in operator-tui agent_lab; do
    [ -x "$binaries/$program" ] || fail "$binaries/$program is missing: \`cargo build -p operator-tui -p agent_lab --bins\`"
done
command -v debootstrap >/dev/null || fail "debootstrap is missing; install it"
[ "$(id -u)" = 0 ] || fail "debootstrap needs root"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # build TAG ARGUMENT...
    local log=$work/build.log
    docker build --quiet --tag "$@" >"$log" 2>&1 || { cat "$log"; fail "$1 cannot be made"; }
    say "$1"
}

# What all are made of: made anew only when this machine's own settings change.
settings() {
    cat /etc/ssl/certs/ca-certificates.crt
    cat /etc/pip.conf 2>/dev/null || true
    apt-config dump | grep -E '^Acquire::' || true
}
base=operator-standin:debian12
mark=$(settings | sha256sum | cut -c1-16)
if [ "$(docker image inspect -f '{{index .Config.Labels "operator.standin"}}' "$base" 2>/dev/null)" != "$mark" ]; then
    mirror=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(IDENTIFIER)' |
        awk '$2 == "bookworm" && $3 == "Packages" { print $1; exit }')
    [ -n "$mirror" ] || fail "apt knows no mirror of Debian 12 here"
    debootstrap --variant=minbase --include=ca-certificates,curl bookworm "$work/root" "$mirror" >"$work/log" 2>&1 ||
        { tail -5 "$work/log"; fail "debootstrap failed"; }
    cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/ca-certificates.crt"
    [ ! -e /etc/pip.conf ] || cp /etc/pip.conf "$work/root/etc/pip.conf"
    apt-config dump | grep -E '^Acquire::' >"$work/root/etc/apt/apt.conf.d/90machine" || true
    rm -rf "$work"/root/var/cache/apt/archives/*.deb
    # Without what Debian's own images leave out too.
    tar -C "$work/root" --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' -c . |
        docker import --change "LABEL operator.standin=$mark" --change 'CMD ["bash"]' - "$base" >/dev/null
    rm -rf "$work/root"
    say "$base"
fi

# Stripped: what a debugger reads is most of them.
mkdir -p target/image
for program in operator-tui agent_lab; do
    strip -o "$work/$program" "$binaries/$program"
    cmp -s "$work/$program" "target/image/$program" || mv "$work/$program" "target/image/$program"
done
cp -r "$here" "$work/context"
cp target/image/operator-tui "$work/context/"
cp "$(command -v docker)" "$work/context/docker"

for target in python docker-cli; do
    build "operator-standin:$target" --target "$target" "$work/context"
done
build "pingcap/pd:$tag" --target pd "$work/context"
build "pingcap/tikv:$tag" --target tikv "$work/context"
build "operator-load:$tag" --target load "$work/context"
build "prom/prometheus:$tag" --target prometheus "$work/context"
build "grafana/grafana:$tag" --target grafana "$work/context"

# The shipped Dockerfile, by its arguments alone.
build "operator:$tag" --file agent/Dockerfile \
    --build-arg RUST_IMAGE="$base" --build-arg BINARIES=target/image \
    --build-arg DOCKER_IMAGE=operator-standin:docker-cli \
    --build-arg PYTHON_IMAGE=operator-standin:python .
say "done"
