#!/usr/bin/env python3
"""Holds THREAT-MODEL.md to the tree: whatever it cites must be there, and what it calls a test must be one.

    threat_model.py             exit code 1 when a claim is malformed or cites what is not there
    threat_model.py --self-test

A claim is a list item:

    - **K3** What is so. Check: `path::item`, … Test: `path::test`, …

with at least one check and one test. `path` is relative to the repository; the item is a function, type, constant or module of
that file, the test a function under `#[test]` or `#[tokio::test]`. Citations elsewhere in the page must exist, too. A number
is a letter and digits and stands for one claim only. That the test goes red without the check is for people to judge.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "THREAT-MODEL.md"

CITATION = re.compile(r"`([A-Za-z0-9_./-]+\.rs)::([A-Za-z0-9_]+)`")
ITEM = r"\b(?:fn|struct|enum|trait|type|const|static|mod|macro_rules!) {name}\b"
# attributes stand directly above the function
TEST = r"#\[(?:tokio::)?test(?:\([^)\]]*\))?\]\n(?:[ \t]*#\[[^\n]*\n)*[ \t]*(?:pub )?(?:async )?fn {name}\b"


def paragraphs(text: str) -> list[str]:
    """List items and paragraphs, each as one line."""
    found: list[str] = []
    joins = False
    for line in text.splitlines():
        starts = re.match(r"- |#|\||\d+\. |```", line)
        if line.strip() and joins and not starts:
            found[-1] += " " + line.strip()
        elif line.strip():
            found.append(line.strip())
        joins = bool(line.strip()) and not line.startswith(("#", "|", "```"))
    return found


def missing(root: Path, text: str, pattern: str, what: str) -> list[str]:
    """One line for each citation in `text` that does not lead to what `pattern` describes."""
    complaints = []
    for path, name in CITATION.findall(text):
        file = root / path
        if ".." in Path(path).parts or not file.is_file():
            complaints.append(f"{path}::{name}: there is no such file")
        elif not re.search(pattern.format(name=name), file.read_text()):
            complaints.append(f"{path}::{name}: the file has no such {what}")
    return complaints


def judge(root: Path, page: str) -> tuple[int, list[str]]:
    """How many claims there are, and what is wrong with them."""
    numbers: set[str] = set()
    claims, complaints = 0, []
    for paragraph in paragraphs(page):
        match = re.match(r"- \*\*([A-Z]+[0-9]+)\*\* (.*)$", paragraph)
        if not match:
            complaints += missing(root, paragraph, ITEM, "item")
            continue
        number, claim = match.groups()
        claims += 1
        if number in numbers:
            complaints.append(f"{number}: the number stands for two claims")
        numbers.add(number)
        parts = re.match(r"(.+) Check: (.+) Test: (.+)$", claim)
        if not parts or claim.count(" Check: ") != 1 or claim.count(" Test: ") != 1:
            complaints.append(f"{number}: not of the form: claim, Check:, Test:")
            continue
        said, check, test = parts.groups()
        for name, part in (("check", check), ("test", test)):
            if not CITATION.search(part):
                complaints.append(f"{number}: no {name} is cited")
        complaints += [f"{number}: {line}" for line in missing(root, said + check, ITEM, "item")]
        complaints += [f"{number}: {line}" for line in missing(root, test, TEST, "test")]
    # a citation that is not read would not be checked
    read = len(CITATION.findall(page))
    for code in re.findall(r"`([^`\n]*\.rs::[^`\n]*)`", page):
        if not CITATION.fullmatch(f"`{code}`"):
            complaints.append(f"{code}: a citation that cannot be read")
    if claims == 0 or read == 0:
        complaints.append("the page has no claims")
    return claims, complaints


def self_test() -> int:
    good = ("# Page\n\nA word on `a/b.rs::Thing`.\n\n- **H1** It is so,\n  always. Check: `a/b.rs::check`. Test: `a/b.rs::holds`,\n"
            "  `a/b.rs::waits`.\n- **H2** And so. Check: `a/b.rs::LIMIT`. Test: `a/b.rs::expects`.\n")
    source = ("pub struct Thing;\nconst LIMIT: u8 = 1;\nfn check() {}\n#[test]\nfn holds() {}\n"
              "    #[tokio::test(flavor = \"current_thread\")]\n    async fn waits() {}\n"
              "#[test]\n#[expect(x, reason = \"y\")]\nfn expects() {}\nfn helper() {}\n")
    cases = {
        "good": (good, 0),
        "no such file": (good.replace("a/b.rs::check", "a/c.rs::check"), 1),
        "no such item": (good.replace("a/b.rs::check", "a/b.rs::chec"), 1),
        "no such test": (good.replace("::holds", "::hold"), 1),
        "a test that is none": (good.replace("::holds", "::helper"), 1),
        "outside the tree": (good.replace("a/b.rs::check", "a/../a/b.rs::check"), 1),
        "no check": (good.replace("`a/b.rs::LIMIT`", "the type"), 1),
        "no test": (good.replace("`a/b.rs::expects`", "by hand"), 1),
        "no form": (good.replace(" Test: `a/b.rs::expects`", ""), 1),
        "one number twice": (good.replace("H2", "H1"), 1),
        "a citation in the text": (good.replace("::Thing", "::Nothing"), 1),
        "unreadable": (good.replace("a/b.rs::Thing", "a/b.rs::Thing()"), 1),
        "empty": ("# Page\n", 1),
    }
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "a").mkdir()
        (Path(folder) / "a" / "b.rs").write_text(source)
        for name, (page, expected) in cases.items():
            _, complaints = judge(Path(folder), page)
            if len(complaints) != expected:
                failures.append(f"{name}: {complaints}")
        if judge(Path(folder), good)[0] != 2:
            failures.append("claims are not counted")
    for failure in failures:
        print(f"failed: {failure}")
    print(f"{len(cases) + 1} cases, {len(failures)} failed")
    return 1 if failures else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="hold THREAT-MODEL.md to the tree")
    parser.add_argument("--self-test", action="store_true")
    if parser.parse_args().self_test:
        return self_test()
    claims, complaints = judge(ROOT, PAGE.read_text())
    for complaint in complaints:
        print(complaint)
    print(f"{claims} claims, {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
