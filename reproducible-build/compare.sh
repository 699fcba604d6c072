#!/usr/bin/env bash
# Builds the enclave program twice, as differently as one machine and one user can, and compares the bytes.
#
#   reproducible-build/compare.sh [WORK]
#   reproducible-build/compare.sh --self-test
#
# WORK  an empty or new folder for both trees, homes and targets (about 3 GB); a temporary one, removed afterwards, when not given
#
# Between the builds differ: the tree's folder, the target folder, cargo's home (packages unpacked anew), $HOME, umask, time zone,
# locale, number of jobs. Exit codes: 0 the same bytes; 1 they differ (where, is said); 2 usage; 3 a build failed.
# --self-test changes one byte of a copy and expects it to be found and named; it builds nothing.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
readonly program=packproof-enclave

# Says whether two files are the same; if not, where they first differ, how many bytes do, and which texts.
compare() { # ONE TWO
  if cmp --silent "$1" "$2"; then return 0; fi
  local sizes
  sizes="$(wc -c <"$1") and $(wc -c <"$2")"
  echo "they differ: $sizes bytes"
  # the shorter may end first: then cmp says so itself
  local differing
  differing=$(cmp --verbose "$1" "$2" 2>/dev/null || true)
  if [[ -n $differing ]]; then
    local first
    first=$(head -n1 <<<"$differing" | awk '{print $1}')
    echo "first at offset $((first - 1)), $(wc -l <<<"$differing") bytes in all"
    if readelf --section-headers --wide "$1" >/dev/null 2>&1; then
      echo "in section $(section_at "$1" $((first - 1)))"
    fi
  fi
  diff --unified=0 <(strings -n 8 "$1") <(strings -n 8 "$2") | sed -n '3,12p' || true
  return 1
}

# The name of the section that holds an offset of an ELF file.
section_at() { # FILE OFFSET
  readelf --section-headers --wide "$1" | awk -v offset="$2" '
    function number(hex,   value, i) {
      value = 0
      for (i = 1; i <= length(hex); i++) value = value * 16 + index("0123456789abcdef", substr(hex, i, 1)) - 1
      return value
    }
    { sub(/^ *\[ *[0-9]+\] */, "") }
    $1 ~ /^\./ && $2 != "NOBITS" && number($4) <= offset && offset < number($4) + number($5) { name = $1 }
    END { print name == "" ? "none (headers)" : name }'
}

self_test() {
  local work said failed=0
  work=$(mktemp -d)
  cp -L "$(command -v readelf)" "$work/one"
  cp "$work/one" "$work/two"
  compare "$work/one" "$work/two" >/dev/null || { echo 'failed: the same bytes are called different'; failed=1; }
  # one byte in the middle of the code
  local address
  address=$(readelf --section-headers --wide "$work/one" | awk '{ sub(/^ *\[ *[0-9]+\] */, "") } $1 == ".text" { print $4 }')
  local offset=$((16#$address + 100))
  local byte
  byte=$(od -An -tu1 -j"$offset" -N1 "$work/two")
  # shellcheck disable=SC2059 # the format is the byte
  printf "\\x$(printf %02x $((byte ^ 1)))" | dd of="$work/two" bs=1 seek="$offset" conv=notrunc status=none
  if said=$(compare "$work/one" "$work/two"); then echo 'failed: a changed byte is not found'; failed=1; fi
  for words in "first at offset $offset, 1 bytes in all" 'in section .text'; do
    [[ $said == *"$words"* ]] || { echo "failed: expected '$words', said: $said"; failed=1; }
  done
  cp "$work/one" "$work/two"
  echo >>"$work/two"
  if said=$(compare "$work/one" "$work/two"); then echo 'failed: a byte more is not found'; failed=1; fi
  [[ $said == *differ* ]] || { echo "failed: a byte more: $said"; failed=1; }
  rm -r "$work"
  ((failed == 0)) && echo 'self-test passed'
  return "$failed"
}

if [[ ${1:-} == --self-test && $# == 1 ]]; then
  self_test
  exit
fi
[[ $# -le 1 && ${1:-} != -* ]] || {
  sed -n '4,5s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}
if [[ $# == 1 ]]; then
  mkdir -p "$1"
  work=$(cd "$1" && pwd)
  [[ -z $(ls -A "$work") ]] || {
    echo "compare.sh: error: $work is not empty; name another folder" >&2
    exit 2
  }
else
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
fi
cargo_home=${CARGO_HOME:-$HOME/.cargo}
export RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup}

# The tree as git would see it after committing everything, or all of it where there is no git.
copy_tree() { # TO
  mkdir -p "$1"
  if git -C "$root" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    (cd "$root" && git ls-files --cached --others --exclude-standard -z | while IFS= read -r -d '' file; do
      [[ ! -f $file ]] || printf '%s\0' "$file"
    done | tar --create --null --files-from=- --file=-) | tar --extract --directory="$1" --no-same-permissions
  else
    cp -R "$root/." "$1"
  fi
}

# A home of cargo with the packages that are here already, packed: nothing is fetched that need not be.
cargo_home_at() { # TO
  mkdir -p "$1/registry"
  for part in config.toml registry/cache registry/index; do
    [[ ! -e $cargo_home/$part ]] || cp -R "$cargo_home/$part" "$1/$part"
  done
}

build() { # NAME TREE UMASK ENVIRONMENT…
  local name=$1 tree=$2 mask=$3
  shift 3
  mkdir -p "$(dirname "$tree")"
  cp -R "$work/source" "$tree"
  cargo_home_at "$work/$name/cargo"
  mkdir -p "$work/$name/home"
  echo "build $name in $tree"
  (
    umask "$mask"
    env HOME="$work/$name/home" CARGO_HOME="$work/$name/cargo" "$@" \
      "$tree/reproducible-build/build.sh" "$work/$name/out" "$work/$name/target"
  ) || exit 3
}

# once, so that an edit in between does not count
copy_tree "$work/source"
build one "$work/one/tree" 022 TZ=UTC LC_ALL=C.UTF-8 CARGO_BUILD_JOBS="$(nproc)"
build two "$work/two/another-folder/much/deeper" 077 TZ=Pacific/Kiritimati LC_ALL=tr_TR.UTF-8 CARGO_BUILD_JOBS=1
compare "$work/one/out/$program" "$work/two/out/$program"
echo 'the same bytes'
