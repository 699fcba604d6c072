"""Writes mutants/: cells/base.enc.yaml (or .json) with one thing changed each."""

import pathlib
import re

base = pathlib.Path("cells/base.enc.yaml").read_text()
lines = base.splitlines()
values = {m[1]: m[2] for m in re.finditer(r"^(\w+): (ENC\[.*\])$", base, re.M)}
items = re.findall(r"^ +- (ENC\[.*\])$", base, re.M)
mac = re.search(r"^    mac: (.*)$", base, re.M)[1]
modified = re.search(r'^    lastmodified: (".*")$', base, re.M)[1]
age = re.search(r"^    age:\n((?:        .*\n)+)", base, re.M)[1]


def one(old, new, text=base):
    """`text` with `old` replaced, which must be there exactly once."""
    assert text.count(old) == 1, (text.count(old), old)
    return text.replace(old, new)


def flip(value, field):
    """An ENC[...] with the first base64 character of a field changed."""
    at = value.index(field + ":") + len(field) + 1
    return value[:at] + ("B" if value[at] == "A" else "A") + value[at + 1 :]


def swapped(first, second):
    return one(first, "\0").replace(second, first).replace("\0", second)


a, b = values["a"], values["b"]
comment = next(item for item in items if "type:comment" in item)
one_item, two_item = (item for item in items if item != comment)
sops_block = base[base.index("sops:\n") :]
line_a, line_b = f"a: {a}\n", f"b: {b}\n"
suffix = "    unencrypted_suffix: _unencrypted\n"

mutants = {
    "untouched": base,
    "crlf": base.replace("\n", "\r\n"),
    "sops-block-first": sops_block + base[: base.index("sops:\n")],
    "mac-data-changed": one(mac, flip(mac, "data")),
    "mac-tag-changed": one(mac, flip(mac, "tag")),
    "mac-iv-changed": one(mac, flip(mac, "iv")),
    "mac-of-another-value": one(mac, a),
    "mac-empty": one(mac, '""'),
    "mac-removed": one(f"    mac: {mac}\n", ""),
    "lastmodified-changed": one(modified, '"2020-01-01T00:00:00Z"'),
    "lastmodified-with-fraction": one(modified, modified.replace('Z"', '.5Z"')),
    "lastmodified-unquoted": one(modified, modified.strip('"')),
    "lastmodified-removed": one(f"    lastmodified: {modified}\n", ""),
    "value-data-changed": one(a, flip(a, "data")),
    "value-tag-changed": one(a, flip(a, "tag")),
    "value-iv-changed": one(a, flip(a, "iv")),
    "value-text-after-bracket": one(a, a + "x"),
    "value-short-iv": one(a, re.sub(r"iv:[^,]*", "iv:AAECAwQFBgcICQoL", a)),
    "value-made-empty": one(a, '""'),
    "value-made-null": one(a, "null"),
    "value-made-clear": one(a, "alpha"),
    "value-made-number": one(a, "5"),
    "value-removed": one(line_b, ""),
    "value-copied": one(line_b, line_b + f"copy: {b}\n"),
    "values-swapped": swapped(a, b),
    "key-renamed": one("\nb: ", "\nbb: "),
    "keys-swapped": one(line_a + line_b, f"b: {a}\na: {b}\n"),
    "entries-reordered": one(line_a + line_b, line_b + line_a),
    "value-moved-into-map": one(line_b, f"m:\n    b: {b}\n"),
    "list-items-swapped": swapped(one_item, two_item),
    "list-item-removed": one(f"    - {two_item}\n", ""),
    "list-comment-removed": one(f"    - {comment}\n", ""),
    "list-comment-moved": one(f"    - {comment}\n", "").replace(two_item, f"{two_item}\n    - {comment}"),
    "list-comment-made-str": one(comment, comment.replace("type:comment", "type:str")),
    "list-item-made-comment": one(one_item, one_item.replace("type:str", "type:comment")),
    "type-int-made-str": one(values["int"], values["int"].replace("type:int", "type:str")),
    "type-int-made-float": one(values["int"], values["int"].replace("type:int", "type:float")),
    "type-bool-made-str": one(values["bool"], values["bool"].replace("type:bool", "type:str")),
    "type-str-made-float": one(values["num"], values["num"].replace("type:str", "type:float")),
    "type-str-made-int": one(a, a.replace("type:str", "type:int")),
    "type-str-made-bool": one(a, a.replace("type:str", "type:bool")),
    "type-str-made-time": one(a, a.replace("type:str", "type:time")),
    "type-str-made-comment": one(a, a.replace("type:str", "type:comment")),
    "type-str-made-bytes": one(a, a.replace("type:str", "type:bytes")),
    "type-unknown": one(a, a.replace("type:str", "type:text")),
    "clear-changed": one("p_unencrypted: public", "p_unencrypted: publik"),
    "clear-removed": one("p_unencrypted: public\n", ""),
    "clear-key-renamed": one("p_unencrypted: public", "pp_unencrypted: public"),
    "clear-boundary-moved": one('q_unencrypted: "1000"\nr_unencrypted: "1000"', 'q_unencrypted: "100"\nr_unencrypted: "01000"'),
    "clear-quotes-removed": one('q_unencrypted: "1000"', "q_unencrypted: 1000"),
    "clear-octal": one('q_unencrypted: "1000"', "q_unencrypted: 01750"),
    "clear-tagged": one('q_unencrypted: "1000"', "q_unencrypted: !!str 1000"),
    "clear-made-encrypted": one("p_unencrypted: public", f"p_unencrypted: {a}"),
    "null-added": one(line_b, line_b + "new: null\n"),
    "empty-string-added": one(line_b, line_b + 'new: ""\n'),
    "empty-map-added": one(line_b, line_b + "new: {}\n"),
    "clear-value-added": one(line_b, line_b + "new_unencrypted: x\n"),
    "number-key-added": one(line_b, line_b + "5: null\n"),
    "merge-key-added": one(line_b, line_b + "<<: {new: null}\n"),
    "duplicate-key": one(line_b, line_b + line_b),
    "anchor": one("p_unencrypted: public", "p_unencrypted: &x public"),
    "alias": one("p_unencrypted: public", "p_unencrypted: &x public").replace("z: null", "z: *x"),
    "second-document": base + "---\nx: null\n",
    "sops-block-removed": base[: base.index("sops:\n")],
    "sops-block-renamed": one("sops:\n", "Sops:\n"),
    "suffix-changed": one(suffix, "    unencrypted_suffix: _clear\n"),
    "suffix-empty": one(suffix, '    unencrypted_suffix: ""\n'),
    "suffix-removed": one(suffix, ""),
    "suffix-made-encrypted-suffix": one(suffix, "    encrypted_suffix: _unencrypted\n"),
    "selector-regex": one(suffix, "    unencrypted_regex: _unencrypted$\n"),
    "selector-encrypted-regex": one(suffix, "    encrypted_regex: ^[a-z]+$\n"),
    "selector-comment-regex": one(suffix, "    unencrypted_comment_regex: nothing\n"),
    "selector-encrypted-comment-regex": one(suffix, "    encrypted_comment_regex: nothing\n"),
    "selectors-two": one(suffix, suffix + "    encrypted_suffix: _enc\n"),
    "mac-only-encrypted-added": base + "    mac_only_encrypted: true\n",
    "mac-only-encrypted-not-bool": base + "    mac_only_encrypted: 1\n",
    "metadata-unknown-field": base + "    new_selector: x\n",
    "keys-removed": one(age, "").replace("    age:\n", "    age: []\n"),
    "keys-in-one-group": one("    age:\n" + age, "    key_groups:\n        - age:\n" + age.replace("        ", "            ")),
    "keys-in-two-groups": one("    age:\n" + age, "    key_groups:\n" + 2 * ("        - age:\n" + age.replace("        ", "            "))),
    "shamir-threshold": base + "    shamir_threshold: 2\n",
    "version-number": one("version: 3.11.0", "version: 3.11"),
}
for name, text in mutants.items():
    pathlib.Path(f"mutants/{name}.yaml").write_bytes(text.encode())

values_json = pathlib.Path("cells/values.enc.json").read_text()
json_mutants = {
    "json-untouched": values_json,
    "json-block-spelled-otherwise": one('"sops": {', '"Sops": {', values_json),
    "json-two-blocks": one('"sops": {', '"SOPS": null, "sops": {', values_json),
    "json-duplicate-key": one('"nothing": null', '"nothing": null, "nothing": null', values_json),
    "json-clear-changed": one('"n": 1000000', '"n": 1000001', values_json),
    "json-clear-respelled": one('"n": 1000000', '"n": 1.0e6', values_json),
    "json-trailing-text": values_json + "{}",
    "json-value-changed": re.sub(r'("string": "ENC\[AES256_GCM,data:)(.)', lambda m: m[1] + ("B" if m[2] == "A" else "A"), values_json, count=1),
}
for name, text in json_mutants.items():
    pathlib.Path(f"mutants/{name}.json").write_bytes(text.encode())
