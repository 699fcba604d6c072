#!/usr/bin/env python3
"""Searches files for values that must not be in them, plain or encoded.

    canary.py --canaries FILE [--except PATH …] PATH …
    canary.py --self-test

FILE is JSON: an object {name: value} of strings, each value at least 8 bytes in UTF-8. Every PATH is a file, or a folder
that is searched whole; symbolic links are not followed, and files that are no regular files (sockets, pipes) are counted
apart. `--except` names a file or folder that may hold the values, for instance the fixture they come from.

Looked for: the bytes themselves, reversed, in UTF-16 (both orders), in hex and in percent encoding of each byte (either
case), percent-encoded as URLs are, with JSON's escapes, and base64 at each of the three alignments in the standard and
the URL alphabet. Each file is searched as it is, with white space taken out (wrapped base64, spaced hex), and unpacked
when it is a zlib or gzip stream (git's objects).

Exit code 0 nothing found, 1 found (file, name of the value and encoding; never the value), 2 usage, unreadable input,
or nothing to search: a search of nothing is no proof.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
import urllib.parse
import zlib
from collections.abc import Iterator
from pathlib import Path

# a shorter value is found by chance, its base64 even more so
MIN_VALUE_BYTES = 8
# how much a compressed file may unpack to
MAX_UNPACKED_BYTES = 256 * 1024 * 1024

WHITE_SPACE = b" \t\r\n"


class Unusable(Exception):
    """The search cannot be made as asked."""


def base64_cores(value: bytes, alphabet: bytes) -> Iterator[bytes]:
    """The characters of `value` in base64 that do not depend on its neighbours, at each alignment."""
    for lead in range(3):
        text = base64.b64encode(bytes(lead) + value, altchars=alphabet).rstrip(b"=")
        # the first characters mix with what is before, the last one with what comes after
        first = (lead * 8 + 5) // 6
        whole = (lead + len(value)) * 8 // 6
        yield text[first:whole]


def encodings(value: str) -> dict[bytes, str]:
    """Every form of `value` that is searched for, with its name."""
    raw = value.encode()
    forms: dict[bytes, str] = {}

    def add(form: bytes, name: str) -> None:
        forms.setdefault(form, name)

    add(raw, "raw")
    add(raw[::-1], "reversed")
    add(value.encode("utf-16-le"), "utf-16, little-endian")
    add(value.encode("utf-16-be"), "utf-16, big-endian")
    add(raw.hex().encode(), "hex")
    add(raw.hex().upper().encode(), "hex, upper case")
    for percent in (urllib.parse.quote(raw, safe=""), urllib.parse.quote(raw), urllib.parse.quote_plus(raw)):
        add(percent.encode(), "percent-encoded")
        add(lower_percent(percent).encode(), "percent-encoded, lower case")
    add("".join(f"%{byte:02X}" for byte in raw).encode(), "percent-encoded, every byte")
    add("".join(f"%{byte:02x}" for byte in raw).encode(), "percent-encoded, every byte, lower case")
    for text in (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]):
        add(text.encode(), "JSON-escaped")
        add(text.replace("/", "\\/").encode(), "JSON-escaped")
        # a JSON text as a string inside JSON
        add(json.dumps(text)[1:-1].encode(), "JSON-escaped twice")
    units = value.encode("utf-16-be").hex()
    escaped = "".join("\\u" + units[at:at + 4] for at in range(0, len(units), 4))
    add(escaped.encode(), "JSON-escaped, every character")
    for name, alphabet in (("base64", b"+/"), ("base64, URL alphabet", b"-_")):
        for lead, core in enumerate(base64_cores(raw, alphabet)):
            add(core, f"{name}, alignment {lead}")
        for core in base64_cores(raw[::-1], alphabet):
            add(core, f"{name} of the reversed value")
    return forms


def lower_percent(text: str) -> str:
    """Percent signs' hex digits in lower case, all else as it was."""
    head, *rest = text.split("%")
    return "%".join([head, *(part[:2].lower() + part[2:] for part in rest)])


def unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The content in each way it is searched, with a word about it."""
    yield "", content
    squeezed = content.translate(None, WHITE_SPACE)
    if len(squeezed) != len(content):
        yield ", white space taken out", squeezed
    # first bytes of a gzip stream, and of a zlib stream with a 32 KiB window
    if content[:2] == b"\x1f\x8b" or content[:1] == b"\x78":
        try:
            inner = zlib.decompressobj(wbits=47).decompress(content, MAX_UNPACKED_BYTES)
        except zlib.error:
            return
        if len(inner) == MAX_UNPACKED_BYTES:
            raise Unusable(f"a compressed file unpacks to more than {MAX_UNPACKED_BYTES} bytes")
        yield ", compressed", inner


def files(paths: list[Path], excepted: list[Path]) -> Iterator[Path]:
    """Every path that is neither a folder nor excepted."""
    skip = {path.resolve() for path in excepted}
    for path in paths:
        if path.resolve() in skip:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from files(sorted(path.iterdir()), excepted)
        else:
            yield path


def search(canaries: dict[str, str], paths: list[Path], excepted: list[Path]) -> tuple[list[str], int, int]:
    """Returns what was found, a line each, the number of files searched and of those that are no regular files."""
    forms = {name: encodings(value) for name, value in canaries.items()}
    found: list[str] = []
    searched = special = 0
    for path in files(paths, excepted):
        if path.is_symlink():
            # its target's name is content too
            content = str(path.readlink()).encode()
        elif path.is_file():
            content = path.read_bytes()
        elif path.exists():
            special += 1
            continue
        else:
            raise Unusable(f"{path} does not exist")
        searched += 1
        # a file's name may leak as well as its content
        ways = [(" (in the file's name)", str(path).encode()), *unpacked(content)]
        for way, text in ways:
            for name, every in forms.items():
                found += [f"{path}: {name}, {encoding}{way}" for form, encoding in every.items() if form in text]
    return found, searched, special


def read_canaries(path: Path) -> dict[str, str]:
    canaries = json.loads(path.read_text("utf-8"))
    if not isinstance(canaries, dict) or not canaries or not all(isinstance(value, str) for value in canaries.values()):
        raise Unusable("the canaries are not a JSON object of strings with at least one member")
    for name, value in canaries.items():
        if len(value.encode()) < MIN_VALUE_BYTES:
            raise Unusable(f"canary {name} has fewer than {MIN_VALUE_BYTES} bytes")
    return canaries


def self_test() -> int:
    """Hides a value in each way and expects it found; expects quiet where it is not. Expected texts are fixed, not computed."""
    value = 'canary/"é"?>~~~'
    hidden = {
        "raw": value.encode(),
        "in a line of a log": b"level=info msg=" + value.encode() + b" end",
        "reversed": value.encode()[::-1],
        "utf-16": value.encode("utf-16-le"),
        "hex": b"63616e6172792f22c3a9223f3e7e7e7e",
        "hex, upper case": b"63616E6172792F22C3A9223F3E7E7E7E",
        "hex with spaces": b"6361 6e61 7279 2f22 c3a9 223f 3e7e 7e7e",
        "base64": b"Y2FuYXJ5LyLDqSI/Pn5+fg==",
        "base64 after one byte": b"eGNhbmFyeS8iw6kiPz5+fn4=",
        "base64 after two bytes": b"eHhjYW5hcnkvIsOpIj8+fn5+",
        "base64 before other bytes": base64.b64encode(b"{\"k\":\"" + value.encode() + b"\",\"l\":1}"),
        "base64, URL alphabet": b"Y2FuYXJ5LyLDqSI_Pn5-fg",
        "base64 wrapped": b"Y2FuYXJ5LyL\nDqSI/Pn5+fg==\n",
        "percent": b"q=canary%2F%22%C3%A9%22%3F%3E~~~&r=",
        "percent, lower case": b"q=canary%2f%22%c3%a9%22%3f%3e~~~&r=",
        "percent, every byte": b"%63%61%6e%61%72%79%2f%22%c3%a9%22%3f%3e%7e%7e%7e",
        "JSON": b'{"k":"canary/\\"\xc3\xa9\\"?>~~~"}',
        "JSON, ASCII": b'{"k":"canary/\\"\\u00e9\\"?>~~~"}',
        "JSON, escaped slash": b'{"k":"canary\\/\\"\\u00e9\\"?>~~~"}',
        "JSON in JSON": b'{"k":"{\\"l\\":\\"canary/\\\\\\"\\\\u00e9\\\\\\"?>~~~\\"}"}',
        "zlib": zlib.compress(b"blob 99\0KEY=" + value.encode()),
    }
    clean = {"empty": b"", "close": b"canary/\"e\"?>~~~ Y2FuYXJ5LyLDqSI", "random": bytes(range(256)) * 16}
    failures = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for group in (hidden, clean):
            for label, content in group.items():
                file = folder / "file"
                file.write_bytes(content)
                found, searched, _ = search({"token": value}, [folder], [])
                if bool(found) != (group is hidden) or searched != 1:
                    failures.append(f"{label}: {'not found' if group is hidden else 'found where it is not'}")
                if any(value in line for line in found):
                    failures.append(f"{label}: the report shows the value")
        (folder / "file").write_bytes(value.encode())
        if search({"token": value}, [folder], [folder / "file"])[0]:
            failures.append("an excepted file was searched")
        (folder / "file").unlink()
        (folder / "canary-value").write_bytes(b"")
        if not search({"token": "canary-value"}, [folder], [])[0]:
            failures.append("a file's name was not searched")
    for failure in failures:
        print(f"failed: {failure}")
    print(f"{len(hidden) + len(clean) + 2} cases, {len(failures)} failed")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="search files for values that must not be in them")
    parser.add_argument("--self-test", action="store_true", help="hide a value in each way and find it")
    parser.add_argument("--canaries", type=Path, help="JSON object {name: value}")
    parser.add_argument("--except", dest="excepted", type=Path, action="append", default=[], help="may hold the values")
    parser.add_argument("paths", type=Path, nargs="*")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if not options.canaries or not options.paths:
        parser.error("--canaries and at least one path are needed")
    try:
        found, searched, special = search(
            read_canaries(options.canaries), options.paths, [*options.excepted, options.canaries])
        if not searched:
            raise Unusable("there is no file to search")
    except (Unusable, OSError, ValueError) as error:
        print(f"cannot search: {error}", file=sys.stderr)
        return 2
    for line in found:
        print(line)
    print(f"{searched} files searched, {len(found)} findings; {special} are no regular files")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
