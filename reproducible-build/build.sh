#!/usr/bin/env bash
# Builds the enclave program so that anybody gets the same bytes.
#
#   reproducible-build/build.sh OUT [TARGET]
#
# OUT     gets packproof-enclave, packproof-enclave.sha384 (for sha384sum -c) and inputs.txt (what it was built from and with)
# TARGET  cargo's folder, $CARGO_TARGET_DIR or target/ when not given; never part of the result
#
# Exit codes: 0 built; 1 the program breaks a rule (not static, too large, a path of this machine in it); 2 usage;
# 3 something is missing on this machine. README.md says what fixes the bytes and what does not.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")

readonly program=packproof-enclave target=x86_64-unknown-linux-gnu
# design section 12
readonly max_bytes=6000000
# rust-embed (through age) writes file times into the program unless this is set; the value means nothing
readonly epoch=1

die() {
  echo "build.sh: error: $2" >&2
  exit "$1"
}

[[ $# == 1 || $# == 2 ]] || die 2 'usage: reproducible-build/build.sh OUT [TARGET]'
mkdir -p "$1" || die 3 "cannot make the folder $1; name another"
out=$(cd "$1" && pwd)
cd "$root"
build=${2:-${CARGO_TARGET_DIR:-$root/target}}
mkdir -p "$build" || die 3 "cannot make the folder $build; name another"
build=$(cd "$build" && pwd)

for tool in cargo rustc cc ld readelf sha384sum; do
  command -v "$tool" >/dev/null || die 3 "$tool is not installed"
done
wanted=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
found=$(rustc --version | cut -d' ' -f2)
[[ $found == "$wanted" ]] || die 3 "rustc is $found, rust-toolchain.toml pins $wanted; install that one"
commit=$(rustc -vV | sed -n 's/^commit-hash: //p')
sysroot=$(rustc --print sysroot)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
[[ ! -d $cargo_home ]] || cargo_home=$(cd "$cargo_home" && pwd)

# Every folder of this machine that a compiler could write into the program, and what it is called there. Later ones win,
# so a folder inside another comes after it.
from=("$root" "$cargo_home" "$build" "$sysroot/lib/rustlib/src/rust")
to=(/packproof /cargo /target "/rustc/$commit")
rustflags='-Ctarget-feature=+crt-static' cflags='-g0'
for index in "${!from[@]}"; do
  [[ ${from[index]} != *[[:space:]=]* ]] || die 3 "the folder ${from[index]} has a space or = in its name; use another"
  rustflags+=$'\x1f'"--remap-path-prefix=${from[index]}=${to[index]}"
  cflags+=" -ffile-prefix-map=${from[index]}=${to[index]}"
done

# Nothing of the caller's environment reaches the compilers but what finds them, the packages and the network.
kept=()
for name in PATH HOME CARGO_HOME RUSTUP_HOME RUSTUP_TOOLCHAIN CARGO_BUILD_JOBS CARGO_NET_OFFLINE TZ LC_ALL TMPDIR \
  http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY SSL_CERT_FILE SSL_CERT_DIR; do
  [[ -z ${!name+set} ]] || kept+=("$name=${!name}")
done
env -i "${kept[@]}" SOURCE_DATE_EPOCH=$epoch CARGO_ENCODED_RUSTFLAGS="$rustflags" CFLAGS="$cflags" CARGO_TERM_COLOR=never \
  cargo build --locked --profile enclave --target $target --target-dir "$build" --package $program --bin $program

built=$build/$target/enclave/$program
readelf --program-headers --wide "$built" | grep -q ' INTERP ' && die 1 'the program is not static: it names a dynamic loader'
readelf --file-header --wide "$built" | grep -q 'Type: *DYN' || die 1 'the program is not position independent'
# the folders compiled from; shorter ones (a root of /, say) would be found by chance
for folder in "${from[@]}"; do
  if ((${#folder} >= 5)) && grep --quiet --fixed-strings --text "$folder" "$built"; then
    die 1 "the path $folder of this machine is in the program"
  fi
done
bytes=$(wc -c <"$built")
((bytes <= max_bytes)) || die 1 "the program has $bytes bytes, the limit is $max_bytes"

install -m 755 "$built" "$out/$program"
(cd "$out" && sha384sum $program >$program.sha384)
{
  echo "Cargo.lock sha256 $(sha256sum Cargo.lock | cut -d' ' -f1)"
  rustc -vV
  cargo --version
  cc --version | head -n1
  ld --version | head -n1
  echo "libc.a sha256 $(sha256sum "$(cc -print-file-name=libc.a)" | cut -d' ' -f1)"
} >"$out/inputs.txt"
echo "$bytes bytes"
cat "$out/$program.sha384"
