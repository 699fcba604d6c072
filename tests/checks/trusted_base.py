#!/usr/bin/env python3
"""Holds the trusted base to its record, so that more of it is a decision that shows in a diff.

    trusted_base.py             compares what is there with trusted-base.txt and enclave/README.md; exit code 1 when
                                they differ
    trusted_base.py --record    writes both; refuses when there would be more crates than recorded
    trusted_base.py --record --raise    the same, more or not

Counted are the crates of other people that the program `packproof-enclave` is made from (normal dependencies, Linux on
x86_64; procedural macros too, since they write code that ends up in it), each version for itself. trusted-base.txt has their
names alone, so an update of a crate changes nothing here. A list that has become shorter must be recorded too: the budget
only falls. enclave/README.md states the counts and, for each crate of ours, the lines of code without tests, blank lines and
comments, in a table between two marks that --record writes; counts must be exact, lines within a twentieth (or 50).
Every crate that one of ours depends on must have a row of its own there (`name` in the first cell), and no other. Every
crate of ours must forbid unsafe code at its root.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
RECORD = HERE / "trusted-base.txt"
README = ROOT / "enclave" / "README.md"
HEAD = "# third-party crates in packproof-enclave, written by trusted_base.py --record\n"
BEGIN = "<!-- written by tests/checks/trusted_base.py --record -->\n"
END = "<!-- end -->\n"

TOGETHER = "together"
ALL = "all"
# how many crates would leave with the ones of these names
GROUPS = {
    "`age`": r"age",
    "translations, inside `age`": r"i18n-embed(-fl)?|rust-embed",
    "AWS SDK for KMS": r"aws-(sdk-kms|smithy-.*|runtime|sigv4|types|credential-types)",
    "HTTP": r"hyper(-util)?|http-body-util",
    "TLS": r"rustls|tokio-rustls|webpki-roots|rustls-pki-types",
    "driver of `/dev/nsm`": r"aws-nitro-enclaves-nsm-api",
    "JSON and TOML": r"serde_json|toml",
}


class Unreadable(Exception):
    """cargo's tree or the README has another form than this script knows."""


@dataclass
class Tree:
    """The crates and who depends on whom; a crate is its name and version."""

    root: str
    arrows: dict[str, set[str]]
    # those of this workspace, with their folders
    ours: dict[str, Path]

    @classmethod
    def parse(cls, text: str) -> Tree:
        """Reads `cargo tree --prefix depth --no-dedupe --format {p}`; crates of this workspace have a path."""
        path: list[str] = []
        tree = cls("", {}, {})
        for line in text.splitlines():
            match = re.match(r"(\d+)([A-Za-z0-9_-]+) (v\S+)( \(proc-macro\))?( \((/[^)]*)\))?$", line)
            if not match or int(match.group(1)) > len(path) or (tree.root and match.group(1) == "0"):
                raise Unreadable(f"cargo tree prints a line of another form: {line!r}")
            crate = f"{match.group(2)} {match.group(3)}"
            del path[int(match.group(1)):]
            tree.arrows.setdefault(crate, set())
            if path:
                tree.arrows[path[-1]].add(crate)
            else:
                tree.root = crate
            if match.group(6):
                tree.ours[crate] = Path(match.group(6))
            path.append(crate)
        return tree

    def others(self, without: str = "") -> list[str]:
        """Names of the crates of other people, those aside that are only there through names of the form `without`."""
        reached, left = {self.root}, [self.root]
        while left:
            for crate in self.arrows[left.pop()]:
                if crate not in reached and not (without and re.fullmatch(without, name_of(crate))):
                    reached.add(crate)
                    left.append(crate)
        return sorted(name_of(crate) for crate in reached if crate not in self.ours)

    def direct(self) -> set[str]:
        """Names of the crates of other people that one of ours names."""
        named = {crate for ours in self.ours for crate in self.arrows[ours]}
        return {name_of(crate) for crate in named if crate not in self.ours}


def name_of(crate: str) -> str:
    return crate.split(" ")[0]


def difference(recorded: list[str], found: list[str]) -> list[str]:
    """One line for each crate that is in one list only."""
    more, fewer = Counter(found) - Counter(recorded), Counter(recorded) - Counter(found)
    return [f"+ {name}" for name in sorted(more.elements())] + [f"- {name}" for name in sorted(fewer.elements())]


def code_lines(text: str) -> int:
    """Lines of code: up to the tests, which stand last in a file, without blank lines and comments."""
    lines = text.split("\n#[cfg(test)]\n")[0].splitlines()
    return sum(1 for line in lines if line.strip() and not line.lstrip().startswith("//"))


def lines_of(folder: Path) -> int:
    """Lines of code of one crate."""
    return sum(code_lines(path.read_text()) for path in sorted((folder / "src").rglob("*.rs")) if path.name != "tests.rs")


def allows_unsafe(folder: Path) -> bool:
    """Whether the root of a crate (or of its program) does not forbid unsafe code."""
    roots = [path for path in (folder / "src" / "lib.rs", folder / "src" / "main.rs") if path.exists()]
    return not roots or any("\n#![forbid(unsafe_code)]\n" not in "\n" + path.read_text() for path in roots)


def table(counts: dict[str, int], lines: dict[str, int]) -> str:
    """What stands between the marks."""
    rows = "".join(f"| `{name}` | {number} |\n" for name, number in sorted(lines.items()))
    groups = "".join(f"| {name} | {number} |\n" for name, number in counts.items())
    return (f"{BEGIN}\n| our crate | lines of code |\n| --- | --- |\n{rows}| {TOGETHER} | {sum(lines.values())} |\n\n"
            f"| of others | crates |\n| --- | --- |\n{groups}\n{END}")


def between_marks(text: str) -> tuple[str, str, str]:
    """The text before, between and after the marks, which belong to the middle."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise Unreadable(f"{README.name} does not have the two marks of trusted_base.py, once and in order")
    first, last = text.index(BEGIN), text.index(END) + len(END)
    return text[:first], text[first:last], text[last:]


def misstated(text: str, counts: dict[str, int], lines: dict[str, int]) -> list[str]:
    """One line for each number of the README's table that is not so."""
    rows = re.findall(r"^\| (.+) \| (\d+) \|$", between_marks(text)[1], re.MULTILINE)
    stated = {name: int(number) for name, number in rows}
    together = stated.pop(TOGETHER, None)
    of_ours = {name: number for name, number in stated.items() if name.startswith("`packproof-")}
    of_others = {name: number for name, number in stated.items() if name not in of_ours}
    wrong = [f"{name}: {of_others.get(name, 'nothing')} stated, {counts.get(name, 'nothing')} counted"
             for name in sorted(of_others.keys() | counts.keys()) if of_others.get(name) != counts.get(name)]
    linked = {f"`{name}`": number for name, number in lines.items()}
    if of_ours.keys() != linked.keys():
        wrong.append(f"crates of ours: stated are {sorted(of_ours)}, linked are {sorted(linked)}")
    elif together != sum(of_ours.values()):
        wrong.append(f"{TOGETHER}: {together} is not the sum of the lines above it")
    for name in sorted(of_ours.keys() & linked.keys()):
        if abs(of_ours[name] - linked[name]) > max(50, linked[name] // 20):
            wrong.append(f"{name}: {of_ours[name]} lines stated, {linked[name]} counted")
    return wrong


def unargued(text: str, direct: set[str]) -> list[str]:
    """One line for each direct dependency without a row outside the marks, and for each row without a dependency."""
    before, _, after = between_marks(text)
    cells = re.findall(r"^\| (`[^|]+) \|", before + after, re.MULTILINE)
    argued = {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}
    return [f"{name}: not argued for" for name in sorted(direct - argued)] + \
        [f"{name}: argued for, and none of our crates names it" for name in sorted(argued - direct)]


def self_test() -> int:
    tree = Tree.parse("0packproof-enclave v0.1.0 (/src/enclave)\n1serde v1.0.0\n2serde_derive v1.0.0 (proc-macro)\n"
                      "1packproof-wire v0.1.0 (/src/enclave/wire)\n2sha2 v0.10.9\n2serde v1.0.0\n"
                      "3serde_derive v1.0.0 (proc-macro)\n1sha2 v0.11.1\n2digest v1.0.0\n")
    others = tree.others()
    right = {
        "crates": others == ["digest", "serde", "serde_derive", "sha2", "sha2"],
        "ours": {name_of(crate): folder for crate, folder in tree.ours.items()}
        == {"packproof-enclave": Path("/src/enclave"), "packproof-wire": Path("/src/enclave/wire")},
        "without one": tree.others("serde") == ["digest", "sha2", "sha2"],
        "without two": tree.others("sha2|serde_.*") == ["serde"],
        "direct": tree.direct() == {"serde", "sha2"},
        "no difference": difference(others, others) == [],
        "more": difference(["digest", "serde", "sha2"], others) == ["+ serde_derive", "+ sha2"],
        "fewer": difference(["serde", "gone"], ["serde"]) == ["- gone"],
        "code lines": code_lines("//! a\n\nfn a() {\n    // b\n    #[cfg(test)]\n}\n\n#[cfg(test)]\nmod tests {\n") == 3,
    }
    counts, lines = {ALL: 7, "`age`": 3}, {"packproof-a": 100, "packproof-b": 2000}
    good = f"# head\n{table(counts, lines)}tail\n"
    right["good table"] = misstated(good, counts, lines) == []
    right["within"] = misstated(good, counts, {"packproof-a": 150, "packproof-b": 2100}) == []
    for name, text, counted, found in [
        ("count", good, {**counts, ALL: 8}, lines),
        ("stated count", good.replace("| 7 |", "| 6 |"), counts, lines),
        ("count of a group", good, {**counts, "`age`": 4}, lines),
        ("a group less", good, {ALL: 7}, lines),
        ("a group more", good, {**counts, "TLS": 1}, lines),
        ("too many lines", good, counts, {"packproof-a": 151, "packproof-b": 2000}),
        ("too few lines", good, counts, {"packproof-a": 100, "packproof-b": 1899}),
        ("another crate", good, counts, {**lines, "packproof-c": 1}),
        ("a crate less", good, counts, {"packproof-a": 100}),
        ("sum", good.replace("| 2100 |", "| 2101 |"), counts, lines),
    ]:
        right[name] = len(misstated(text, counted, found)) == 1
    argued = good + "| `serde`, `sha2` | why |\n"
    right["argued"] = unargued(argued, {"serde", "sha2"}) == []
    right["not argued"] = unargued(argued, {"serde", "sha2", "hex"}) == ["hex: not argued for"]
    right["argued too much"] = len(unargued(argued, {"sha2"})) == 1
    for name, broken in [("no marks", "# head\n"), ("one mark", BEGIN), ("marks twice", good + good)]:
        try:
            misstated(broken, counts, lines)
            right[name] = False
        except Unreadable:
            right[name] = True
    for name, broken in [("drawn", "├── serde v1\n"), ("two roots", "0a v1\n0b v1\n"), ("a step too deep", "0a v1\n2b v1\n")]:
        try:
            Tree.parse(broken)
            right[name] = False
        except Unreadable:
            right[name] = True
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        source.mkdir()
        right["no root"] = allows_unsafe(Path(folder))
        (source / "lib.rs").write_text("//! x\n#![forbid(unsafe_code)]\nfn a() {}\n")
        (source / "tests.rs").write_text("fn b() {}\n")
        right["forbids"] = not allows_unsafe(Path(folder)) and lines_of(Path(folder)) == 2
        (source / "main.rs").write_text("// #![forbid(unsafe_code)]\nfn main() {}\n")
        right["program allows"] = allows_unsafe(Path(folder))
    failed = [name for name, held in right.items() if not held]
    print("self-test", f"failed: {', '.join(failed)}" if failed else f"passed, {len(right)} cases")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="hold the trusted base to its record")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--raise", dest="more", action="store_true", help="let the list grow")
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()

    tree = Tree.parse(subprocess.run(
        ["cargo", "tree", "--locked", "--package", "packproof-enclave", "--edges", "normal", "--target",
         "x86_64-unknown-linux-gnu", "--prefix", "depth", "--no-dedupe", "--format", "{p}"],
        cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout)
    found, ours = tree.others(), {name_of(crate): folder for crate, folder in tree.ours.items()}
    counts = {ALL: len(found)}
    counts.update({name: len(found) - len(tree.others(names)) for name, names in GROUPS.items()})
    lines = {name: lines_of(folder) for name, folder in ours.items()}
    recorded = None
    if RECORD.exists():
        recorded = [line for line in RECORD.read_text().splitlines() if line and not line.startswith("#")]
    changes = difference(recorded or [], found)

    unsafe = [name for name, folder in ours.items() if allows_unsafe(folder)]
    if unsafe:
        print(f"these crates do not forbid unsafe code at their root: {', '.join(sorted(unsafe))}")
        return 1
    if options.record:
        if recorded is not None and len(found) > len(recorded) and not options.more:
            print("\n".join(changes))
            print(f"{len(found)} crates are more than the recorded {len(recorded)}; --raise if that is decided")
            return 1
        before, _, after = between_marks(README.read_text())
        README.write_text(before + table(counts, lines) + after)
        RECORD.write_text(HEAD + "".join(f"{name}\n" for name in found))
        print(f"recorded {len(found)} crates of others and {sum(lines.values())} lines of ours")
        return 0
    if recorded is None:
        print(f"{RECORD.name} is missing: record the first list with trusted_base.py --record")
        return 1
    print(f"{len(found)} crates of others in the enclave, {len(recorded)} recorded; {sum(lines.values())} lines of ours")
    readme = README.read_text()
    complaints = changes + misstated(readme, counts, lines)
    if complaints:
        complaints.append("if that is meant: trusted_base.py --record [--raise], in the same commit")
    complaints += unargued(readme, tree.direct())
    print("\n".join(complaints), end="\n" if complaints else "")
    return 1 if complaints else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Unreadable as error:
        print(f"trusted_base.py: error: {error}")
        sys.exit(1)
