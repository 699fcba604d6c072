# Sourced by the scripts beside it. Every one of them installs one peer into the cache, or finds it there, and prints
# the path of its program as the last line of standard output; what it did goes to standard error. Running it again is
# cheap and changes nothing.
#
# The cache is "${PACKPROOF_CACHE:-$HOME/.cache/packproof}/peers/NAME-HASH", where HASH is over the peer's line in
# peers.lock: another line is another folder, so a cached program is never one of another version. Its digest is
# compared on every use.
#
# shellcheck shell=bash

peers=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PACKPROOF_CACHE:-${HOME:?set HOME or PACKPROOF_CACHE}/.cache/packproof}

say() { printf '%s\n' "$*" >&2; }
die() {
  say "error: $*"
  exit 1
}
sha256() { sha256sum -- "$1" | cut -d ' ' -f 1; }

# May this run change the machine? Only as root under CI, or when asked to.
may_install() { [[ $(id -u) == 0 && ( ${CI:-} == true || ${PACKPROOF_INSTALL:-} == 1 ) ]]; }

# Installs Debian packages system-wide, or says which ones are missing.
install_packages() { # PACKAGE…
  may_install || die "missing on this machine: $*; install these Debian packages, or run tests/run --install as root"
  say "installing $*"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  apt-get install -q -y --no-install-recommends "$@" >&2
}

# Reads the line of one peer into the variables below, and enters its place in the cache under a lock.
locked() { # NAME
  local line
  line=$(grep -E "^$1 " "$peers/peers.lock") || die "peers.lock has no line for $1"
  # shellcheck disable=SC2034 # for the scripts that source this file
  read -r name version source package_sha256 program_sha256 <<<"$line"
  place=$cache/peers/$name-$(printf '%s' "$line" | sha256sum | cut -c 1-16)
  mkdir -p "$cache/peers"
  exec 9>"$cache/peers/.$name.lock"
  flock 9
}

# Is the peer in the cache? Then checks it, prints its path and ends the script. A folder is complete when it has its
# record: path inside the folder, version, digest of the package, digest of the program.
finish_if_cached() {
  [[ -f $place/record ]] || return 0
  local path found_version package program
  read -r path found_version package program <"$place/record"
  local now
  now=$(sha256 "$place/$path")
  [[ $now == "$program" ]] ||
    die "$name in the cache has changed: recorded $program, found $now; remove $place and look into it"
  say "$name $found_version: package sha256 $package, program sha256 $program"
  printf '%s\n' "$place/$path"
  exit 0
}

# Compares a digest with the lock's and names both when they differ.
expect_sha256() { # WHAT EXPECTED FILE
  local found
  found=$(sha256 "$3")
  [[ $found == "$2" ]] || die "$1 has changed: peers.lock says sha256 $2, found $found"
}

# A fresh folder beside the final one; gone when the script ends early.
begin() {
  stage=$(mktemp -d "$cache/peers/.$name.XXXXXX")
  trap 'rm -rf "$stage"' EXIT
}

# Moves the finished folder into place, then ends as from the cache.
publish() { # PATH-IN-FOLDER VERSION PACKAGE-SHA256
  printf '%s %s %s %s\n' "$1" "$2" "$3" "$(sha256 "$stage/$1")" >"$stage/record"
  rm -rf "$place"
  mv "$stage" "$place"
  finish_if_cached
}

# Fetches one Debian package of any suite, with an apt state of its own, and unpacks it: nothing is installed.
#
# peers.lock's source is debian:SUITE or debian-rolling:SUITE. The first pins the version and both digests. In a rolling
# suite an old version goes away as soon as there is a new one, so there the line says the least version: a newer one
# counts when Debian's signed index vouches for it, and is announced; the same version must have the same digests.
debian_peer() { # PACKAGE PATH-IN-PACKAGE
  local package=$1 path=$2 suite=${source#*:} rolling=${source%%:*} mirror keyring apt codename want deb found
  [[ $(uname -m) == x86_64 ]] || die "$name is pinned for x86_64 only, this is $(uname -m)"
  local tool
  for tool in apt-get dpkg-deb; do command -v $tool >/dev/null || die "$name comes from a Debian package: $tool is needed"; done
  keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  [[ -f $keyring ]] || die "$name comes from Debian: $keyring is needed (package debian-archive-keyring)"

  # the mirror this machine already uses for its own release
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
  mirror=${PACKPROOF_DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' \
    'Component: main' 'Created-By: Packages' "Release: $codename" | sed -n 1p)}
  [[ -n $mirror ]] || die "no Debian mirror among apt's sources; name one in PACKPROOF_DEBIAN_MIRROR"

  apt=$cache/apt/$suite
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
  exec 8>"$apt/.lock"
  flock 8
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "${mirror%/}" "$suite" >"$apt/sources.list"
  local options=(-q -o "Dir::State::Lists=$apt/lists" -o "Dir::Etc::SourceList=$apt/sources.list"
    -o Dir::Etc::SourceParts=/dev/null -o "Dir::Cache=$apt/cache" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
  # root would otherwise fetch as a user that cannot write into the cache
  [[ $(id -u) != 0 ]] || options+=(-o APT::Sandbox::User=root)
  apt-get "${options[@]}" -o APT::Update::Error-Mode=any update >&2

  want=$package=$version
  [[ $rolling == debian ]] || want=$package
  (cd "$stage" && apt-get "${options[@]}" download "$want" >&2) || die "$suite has no $want any more; it has
$(apt-cache "${options[@]}" show "$package" | grep -E '^(Version|SHA256):' || true)
compare, then write the new version and digests into tests/peers/peers.lock"
  exec 8>&-

  deb=$(echo "$stage"/*.deb)
  [[ -f $deb ]] || die "expected one package for $want, found $deb"
  found=$(dpkg-deb -f "$deb" Version)
  if [[ $found == "$version" ]]; then
    expect_sha256 "$package $version of Debian $suite" "$package_sha256" "$deb"
  else
    dpkg --compare-versions "$found" gt "$version" || die "$package in $suite is $found, older than $version"
    say "note: $package in $suite is now $found (sha256 $(sha256 "$deb")); recorded are $version and $package_sha256"
  fi
  dpkg-deb -x "$deb" "$stage/root"
  [[ $found != "$version" ]] || expect_sha256 "$path in $package" "$program_sha256" "$stage/root/$path"
  local digest
  digest=$(sha256 "$deb")
  rm "$deb"
  publish "root/$path" "$found" "$digest"
}

# Builds one cargo tool from its published crate; cargo compares the crate with the registry's index, we with the lock.
cargo_peer() { # CRATE
  local crate=$1 file cargo_home=${CARGO_HOME:-$HOME/.cargo}
  # flags meant for our own build would only change the tool's
  env -u RUSTFLAGS -u CARGO_BUILD_TARGET cargo install --quiet --locked --version "=$version" --root "$stage" \
    --target-dir "$stage/target" "$crate" >&2
  rm -rf "$stage/target"
  file=$(echo "$cargo_home"/registry/cache/*/"$crate-$version.crate")
  [[ -f $file ]] || die "cargo left no $crate-$version.crate below $cargo_home/registry/cache"
  expect_sha256 "$crate $version" "$package_sha256" "$file"
  publish "bin/$crate" "$version" "$package_sha256"
}
