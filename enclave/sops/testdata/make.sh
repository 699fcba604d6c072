#!/bin/sh
# Writes cells/, expected/, mutants/ and verdicts.tsv again: SOPS=/path/to/sops ./make.sh
set -eu
cd "$(dirname "$0")"
: "${SOPS:?set SOPS to the native sops program}"
export SOPS_AGE_KEY_FILE="$PWD/TEST-ONLY-age-key.txt"
recipient=$(sed -n 's/^# public key: //p' "$SOPS_AGE_KEY_FILE")
rm -rf cells expected mutants verdicts.tsv
mkdir cells expected mutants
config=$(mktemp)
trap 'rm -f "$config"' EXIT
for plain in plain/*; do
    name=$(basename "$plain")
    case $name in
        encrypted-suffix.*) option='encrypted_suffix: _enc' ;;
        encrypted-regex.*) option="encrypted_regex: '(?i)password|token$|^secrets$'" ;;
        unencrypted-regex.*) option="unencrypted_regex: '^(user|host|list)$'" ;;
        encrypted-comment-regex.*) option='encrypted_comment_regex: encrypt' ;;
        unencrypted-comment-regex.*) option='unencrypted_comment_regex: public' ;;
        mac-only-encrypted.*) option='mac_only_encrypted: true' ;;
        *) option='mac_only_encrypted: false' ;;
    esac
    cell=cells/${name%.*}.enc.${name##*.}
    # Not every option is a flag of sops 3.11.
    printf 'creation_rules:\n  - age: %s\n    %s\n' "$recipient" "$option" >"$config"
    "$SOPS" --config "$config" encrypt "$plain" >"$cell"
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
