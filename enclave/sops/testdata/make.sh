#!/bin/sh
# Writes cells/, expected/, mutants/ and verdicts.tsv again: SOPS=/path/to/sops ./make.sh
set -eu
cd "$(dirname "$0")"
: "${SOPS:?set SOPS to the native sops program}"
export SOPS_AGE_KEY_FILE="$PWD/TEST-ONLY-age-key.txt"
recipient=$(sed -n 's/^# public key: //p' "$SOPS_AGE_KEY_FILE")
rm -rf cells expected mutants verdicts.tsv
mkdir cells expected mutants
# mac_only_encrypted has no flag in sops 3.11, only a configuration.
config=$(mktemp)
trap 'rm -f "$config"' EXIT
printf 'creation_rules:\n  - age: %s\n    mac_only_encrypted: true\n' "$recipient" >"$config"
for plain in plain/*; do
    name=$(basename "$plain")
    case $name in
        encrypted-suffix.*) options="encrypt --age $recipient --encrypted-suffix _enc" ;;
        mac-only-encrypted.*) options="--config $config encrypt" ;;
        *) options="encrypt --age $recipient" ;;
    esac
    cell=cells/${name%.*}.enc.${name##*.}
    # shellcheck disable=SC2086
    "$SOPS" $options "$plain" >"$cell"
    case $name in
        non-finite.*) "$SOPS" decrypt "$cell" >"expected/$name" ;;
        *) "$SOPS" decrypt --output-type json "$cell" >"expected/$name.json" ;;
    esac
done
python3 mutate.py
for mutant in mutants/*; do
    if "$SOPS" decrypt "$mutant" >/dev/null 2>&1; then verdict=accepted; else verdict=refused; fi
    printf '%s\t%s\n' "$(basename "$mutant")" "$verdict" >>verdicts.tsv
done
