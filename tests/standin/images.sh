#!/bin/sh
# Builds the stand-in, and of each static binary alone an image: quorumquake-standin/pd:dev and quorumquake-standin/tikv:dev.
# Usage: images.sh [DIRECTORY], as build.sh. An image that holds the same binary already stays; no network is needed.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${1:-${QUORUMQUAKE_STANDIN:-$HOME/.cache/quorumquake/standin}}
if command -v go >/dev/null || [ ! -x "$out/tikv-server" ]; then
    "$here/build.sh" "$out"
fi
label=quorumquake.standin.binary
exec 9>"$out/lock"
flock 9

image() {
    program=$1 name=$2
    binary=$(sha256sum <"$out/$program" | cut -d ' ' -f 1)
    old=$(docker image ls --quiet --no-trunc "$name")
    if [ -n "$old" ] && [ "$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$name")" = "$binary" ]; then
        return
    fi
    tar --create --directory "$out" --owner 0 --group 0 "$program" |
        docker import --change "ENTRYPOINT [\"/$program\"]" --change "LABEL $label=$binary" - "$name" >/dev/null
    if [ -n "$old" ]; then
        docker image rm "$old" >/dev/null 2>&1 || true # in use: it stays, without a name
    fi
}

image pd-server quorumquake-standin/pd:dev
image tikv-server quorumquake-standin/tikv:dev
