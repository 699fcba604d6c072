#!/usr/bin/env bash
# Hands the first line of a receipt to the real cosign, offline, and expects its yes and its noes.
#
#   check_cosign.sh --cosign PROGRAM --receipt FILE --artifact FILE --key PUB.pem --type PREDICATE_TYPE [--type-unchecked]
#   check_cosign.sh --cosign PROGRAM --self-test [--type-unchecked]
#
# --type-unchecked states that this cosign does not compare the predicate type (GHSA-w6c6-c85g-mmv6: no release does so
# for a bundle of this format before the fix of April 2026). Then that is what is expected: a known fault of a peer, and
# a failure here on the day that it is gone. Exit code 0 all as expected, 1 not so, 2 usage.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cosign='' receipt='' artifact='' key='' type='' unchecked=no self_test=no
usage() {
  sed -n '4,5s/^# *//p' "$0" >&2
  exit 2
}
while (($#)); do
  case $1 in
    --type-unchecked) unchecked=yes ;;
    --self-test) self_test=yes ;;
    --cosign | --receipt | --artifact | --key | --type)
      [[ $# -ge 2 ]] || usage
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    *) usage ;;
  esac
  shift
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [[ $self_test == yes ]]; then
  type=https://packproof.dev/attestation/pack/v1
  artifact=$work/artifact.json key=$work/pub.pem receipt=$work/bundle.json
  printf '{"version": 1}' >"$artifact"
  python3 "$here/make_bundle.py" --artifact "$artifact" --type "$type" --out "$work"
fi
[[ -n $cosign && -n $receipt && -n $artifact && -n $key && -n $type ]] || usage

# cosign reads one bundle a file
sed -n 1p "$receipt" >"$work/line1.json"
printf '{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}' >"$work/trusted-root.json"
cp "$artifact" "$work/changed"
printf ' ' >>"$work/changed"
openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/other.key"
openssl pkey -in "$work/other.key" -pubout -out "$work/other.pem"
mkdir "$work/home"

# version 2 must be told the format, and takes an empty trusted root for "none"; version 3 knows both
options=()
"$cosign" verify-blob-attestation --help >"$work/help" 2>&1 || true
if grep -q -e '--new-bundle-format=false' "$work/help"; then
  options=(--new-bundle-format --trusted-root "$work/trusted-root.json")
fi

# Offline: whatever asks for the network meets a closed port, and the home has no cached trust root.
ask() { # KEY TYPE ARTIFACT
  env -u SIGSTORE_ROOT_FILE HOME="$work/home" TUF_ROOT="$work/home/tuf" HTTP_PROXY=http://127.0.0.1:9 \
    HTTPS_PROXY=http://127.0.0.1:9 NO_PROXY= \
    "$cosign" verify-blob-attestation --key "$1" --bundle "$work/line1.json" --insecure-ignore-tlog=true \
    "${options[@]}" --type "$2" "$3" >"$work/answer" 2>&1
}

failed=0
report() { # NAME VERDICT
  printf '%-34s %s\n' "$1" "$2"
  if [[ $2 != as\ expected* ]]; then
    failed=1
    sed 's/^/    /' "$work/answer"
  fi
}
accepts() { # NAME KEY TYPE ARTIFACT
  if ask "$2" "$3" "$4" && grep -q '^Verified OK$' "$work/answer"; then
    report "$1" 'as expected: Verified OK'
  else
    report "$1" 'REFUSED, expected Verified OK'
  fi
}
# A refusal counts only for the right reason: an unreadable bundle or a wrong option also ends with a failure.
refuses() { # NAME REASON KEY TYPE ARTIFACT
  if ask "$3" "$4" "$5"; then
    report "$1" 'ACCEPTED, expected a refusal'
  elif grep -q "$2" "$work/answer"; then
    report "$1" 'as expected: refused'
  else
    report "$1" "REFUSED FOR ANOTHER REASON than \"$2\""
  fi
}

accepts 'receipt, artifact and key' "$key" "$type" "$artifact"
refuses 'changed artifact' 'do not match\|does not match' "$key" "$type" "$work/changed"
refuses 'another key' 'accepted signatures do not match threshold' "$work/other.pem" "$type" "$artifact"
if [[ $unchecked == yes ]]; then
  accepts 'another predicate type (known fault)' "$key" https://example.com/other/v1 "$artifact"
else
  refuses 'another predicate type' 'invalid predicate type' "$key" https://example.com/other/v1 "$artifact"
fi
exit $failed
