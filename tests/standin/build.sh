#!/bin/sh
# Builds the stand-in into a directory: PD (real, from the Go module proxy) and the store (main.go and its modules).
# Usage: build.sh [DIRECTORY]; the default is $QUORUMQUAKE_STANDIN, else ~/.cache/quorumquake/standin.
# Does nothing where the directory holds what these sources build to. Cold, it takes some minutes.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
out=${1:-${QUORUMQUAKE_STANDIN:-$HOME/.cache/quorumquake/standin}}
mkdir -p "$out"
out=$(CDPATH='' cd -- "$out" && pwd)
exec 9>"$out/lock"
flock 9

cd "$here"
sources=$(cat build.sh pd/go.mod pd/go.sum store/*.go store/go.mod store/go.sum | sha256sum)
if [ -x "$out/pd-server" ] && [ -x "$out/tikv-server" ] && [ "$(cat "$out/sources" 2>/dev/null)" = "$sources" ]; then
    exit 0
fi
rm -f "$out/sources"
export CGO_ENABLED=0 GOFLAGS='-mod=readonly -trimpath -buildvcs=false'
# PD's dashboard is another 100 modules of web pages.
(cd pd && nice -n 10 go build -tags without_dashboard -o "$out/pd-server" github.com/tikv/pd/cmd/pd-server)
# Old modules reach into Go's runtime by linkname, which the linker refuses by default now.
(cd store && nice -n 10 go build -ldflags '-checklinkname=0 -s -w' -o "$out/tikv-server" .)
printf '%s\n' "$sources" >"$out/sources"
