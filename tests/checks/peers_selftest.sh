#!/usr/bin/env bash
# Puts a made-up peer through tests/peers/lib.sh and expects each thing that is wrong to be named.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cases=0 failures=0
cp "$here/../peers/lib.sh" "$work/lib.sh"
good=$(printf 'package' | sha256sum | cut -d ' ' -f 1)
printf 'tool 1.0 crates:tool %s -\n' "$good" >"$work/peers.lock"

# A peer script like those in tests/peers: "fetches" a file and unpacks it.
cat >"$work/tool" <<'SCRIPT'
set -euo pipefail
. "$(dirname "$0")/lib.sh"
locked tool
finish_if_cached
begin
echo installing >&2
printf "${PACKAGE:-package}" >"$stage/package"
expect_sha256 "tool $version" "$package_sha256" "$stage/package"
mkdir "$stage/bin"
printf '#!/bin/sh\n' >"$stage/bin/tool"
chmod +x "$stage/bin/tool"
publish bin/tool "$version" "$package_sha256"
SCRIPT

# "!TEXT": must not be said.
says() {
  if [[ $1 == !* ]]; then
    if grep -q -- "${1#!}" "$work/out" "$work/err"; then return 1; fi
  else
    grep -q -- "$1" "$work/out" "$work/err"
  fi
}

expect() { # NAME CODE SAYS COMMAND…
  local name=$1 want=$2 says=$3 code=0
  shift 3
  env -u CI -u PACKPROOF_INSTALL PACKPROOF_CACHE="$work/cache" "$@" >"$work/out" 2>"$work/err" </dev/null || code=$?
  cases=$((cases + 1))
  if [[ $code != "$want" ]] || ! says "$says"; then
    failures=$((failures + 1))
    printf 'failed: %s: exit code %s\n' "$name" "$code"
    sed 's/^/    /' "$work/out" "$work/err"
  fi
}

expect 'a package of another content is refused' 1 "peers.lock says sha256 $good, found [0-9a-f]\{64\}" env PACKAGE=other bash "$work/tool"
expect 'nothing of it stays in the cache' 0 '!tool-' ls -A "$work/cache/peers"
expect 'a peer is installed' 0 '^installing$' bash "$work/tool"
program=$(tail -n 1 "$work/out")
expect 'the path of its program is the last line' 0 '!error' test -x "$program"
expect 'the second time it comes from the cache' 0 '^tool 1.0: package sha256' bash "$work/tool"
expect 'and is not installed again' 0 '!installing' bash "$work/tool"
printf 'changed' >>"$program"
expect 'a changed program in the cache is refused' 1 'recorded [0-9a-f]\{64\}, found [0-9a-f]\{64\}' bash "$work/tool"
sed -i 's/^tool 1.0/tool 1.1/' "$work/peers.lock"
expect 'another line in the lock is another place' 0 '^tool 1.1: ' bash "$work/tool"
sed -i 's/^tool/gone/' "$work/peers.lock"
expect 'a peer without a line is refused' 1 'peers.lock has no line for tool' bash "$work/tool"
expect 'a missing Debian package is named, not installed' 1 'missing on this machine: no-such-package' \
  bash -c ". '$work/lib.sh'; install_packages no-such-package"

echo "$cases cases, $failures failed"
((failures == 0))
