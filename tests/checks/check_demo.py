#!/usr/bin/env python3
"""Runs `packproof-local demo` once, as a newcomer would, and judges what it leaves.

    check_demo.py --bin-dir DIR --age PROGRAM --cosign PROGRAM

In this order, and nothing of it with packproof's own code save its commands:

1. the demo ends well and leaves artifact, receipt, policy, release, root and repository;
2. the `packproof-verify` line that it prints says yes; it says no to a changed artifact, to a changed receipt, and when
   the evidence is to count as real;
3. the artifact is accepted by check_artifact.py with the signer that the policy pins, opened by the real age;
4. the real cosign accepts the receipt's first line with the exported key, and refuses what it should (check_cosign.sh);
5. no value is in any file that the demo left nor in what it printed.

Exit code 0 all of it, 1 not so.
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True

import canary
import check_artifact as check

HERE = Path(__file__).resolve().parent
PREDICATE_TYPE = "https://packproof.dev/attestation/pack-simulated/v1"
FILES = ("artifact.json", "packproof.toml", "release.json", "root.pem", "repo")
# seconds for one command; the demo is to take seconds
TIMEOUT = 300


class Failed(Exception):
    """The demo, or what it left, is not as it must be."""


class Demo:
    """One run of the demo in `work`, an empty folder."""

    def __init__(self, bin_dir: Path, work: Path) -> None:
        self.bin_dir = bin_dir
        self.work = work
        self.folder = work / "demo"
        code, self.output = self.run([str(bin_dir / "packproof-local"), "demo", "--dir", str(self.folder)], work)
        if code != 0:
            raise Failed(f"the demo ends with exit code {code}:\n{self.output}")
        missing = [name for name in FILES if not (self.folder / name).exists()]
        receipts = list(self.folder.glob("*.receipt.sigstore.jsonl"))
        if missing or len(receipts) != 1:
            raise Failed(f"the demo leaves {len(receipts)} receipts; missing: {missing}")
        self.artifact, self.receipt = self.folder / "artifact.json", receipts[0]
        self.verify_in, self.verify_line = verify_command(self.output, work)

    def run(self, command: list[str], cwd: Path) -> tuple[int, str]:
        path = f"{self.bin_dir}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(command, cwd=cwd, env={**os.environ, "PATH": path}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TIMEOUT, check=False)
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def verify(self, name: str, expected: int, without: tuple[str, ...] = (), extra: tuple[str, ...] = ()) -> None:
        """Runs the printed line, changed as told, and compares the exit code."""
        command = drop_options(self.verify_line, without) + list(extra)
        code, output = self.run([str(self.bin_dir / command[0]), *command[1:]], self.verify_in)
        if code != expected:
            raise Failed(f"{name}: packproof-verify ends with exit code {code}, expected {expected}:\n{output}")
        print(f"{name}: exit code {code}, as expected")


def verify_command(output: str, cwd: Path) -> tuple[Path, list[str]]:
    """Finds the printed verifier line, which may begin with `cd FOLDER &&`; returns folder and words."""
    joined = re.sub(r"\\\n\s*", " ", output)
    lines = [line.strip().removeprefix("$ ") for line in joined.splitlines()]
    lines = [line for line in lines if re.match(r"(cd \S+ && )?packproof-verify ", line)]
    if len(lines) != 1:
        raise Failed(f"the demo prints {len(lines)} packproof-verify lines, expected one:\n{output}")
    words = shlex.split(lines[0])
    if words[0] == "cd":
        return cwd / words[1], words[3:]
    return cwd, words


def drop_options(words: list[str], names: tuple[str, ...]) -> list[str]:
    """The words without these options; `--root` takes its value along."""
    out, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in names:
            skip = word == "--root"
        else:
            out.append(word)
    return out


def check_receipt(demo: Demo, cosign: str) -> None:
    demo.verify("the printed line", 0)

    whole = demo.artifact.read_bytes()
    demo.artifact.write_bytes(whole + b" ")
    demo.verify("changed artifact", 1)
    demo.artifact.write_bytes(whole)

    whole = demo.receipt.read_bytes()
    at = whole.index(b'"payload":"') + len(b'"payload":"') + 40
    changed = b"B" if whole[at:at + 1] == b"A" else b"A"
    demo.receipt.write_bytes(whole[:at] + changed + whole[at + 1:])
    demo.verify("changed receipt", 1)
    demo.receipt.write_bytes(whole)

    demo.verify("simulated evidence taken for real", 1, without=("--simulated", "--root"))

    key = demo.work / "receipt-key.pem"
    demo.verify("key export", 0, extra=("--export-key", str(key)))
    done = subprocess.run([str(HERE / "check_cosign.sh"), "--cosign", cosign, "--receipt", str(demo.receipt), "--artifact",
                           str(demo.artifact), "--key", str(key), "--type", PREDICATE_TYPE],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, end="")
    if done.returncode != 0:
        raise Failed("cosign does not judge the receipt as expected")


def check_values(demo: Demo, age: str) -> None:
    content = demo.artifact.read_bytes()
    artifact = check.parse(content)
    check.check_shape(artifact)
    policy = tomllib.loads((demo.folder / "packproof.toml").read_text())
    packs = [pack for pack in policy["pack"]
             if (pack["identity"], pack["environment"]) == (artifact["identity"], artifact["environment"])]
    if len(packs) != 1:
        raise Failed(f"the policy has {len(packs)} packs for {artifact['identity']} in {artifact['environment']}")
    if "recipient" not in packs[0]:
        raise Failed("the demo's pack has no age recipient; its KMS has ended, so the artifact cannot be opened here")

    key = demo.work / "workload.key"
    key.write_text(age_identity(demo.folder, packs[0]["recipient"], age, demo.work))
    given = check.Given(verify_key=packs[0]["signer"]["public_key"], now=datetime.datetime.now(datetime.timezone.utc),
                        age=age, age_key=str(key), identity=packs[0]["identity"], environment=packs[0]["environment"])
    for line in check.judge(content, given):
        print(line)

    plaintext = check.open_age(check.unbase64(artifact["ciphertext"], "decrypt", "ciphertext"), given)
    values = {f"{namespace}.{name}": value for namespace, keys in check.check_plaintext(plaintext).items()
              for name, value in keys.items() if len(value.encode()) >= canary.MIN_VALUE_BYTES}
    if not values:
        raise Failed("the demo packs no value long enough to be searched for")
    printed = demo.work / "printed"
    printed.write_text(demo.output)
    found, searched, _ = canary.search(values, [demo.folder, printed], [])
    if found:
        raise Failed("values are in the open:\n" + "\n".join(found))
    print(f"none of {len(values)} values in {searched} files")


def age_identity(folder: Path, recipient: str, age: str, work: Path) -> str:
    """Finds the age identity of `recipient` among the keys that the demo left, whatever its file is called."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        for identity in re.findall(rb"AGE-SECRET-KEY-1[A-Z0-9]{58}", path.read_bytes()):
            candidate = work / "candidate.key"
            candidate.write_bytes(identity + b"\n")
            done = subprocess.run([str(Path(age).with_name("age-keygen")), "-y", str(candidate)], capture_output=True,
                                  text=True, check=False)
            if done.stdout.strip() == recipient:
                return identity.decode() + "\n"
    raise Failed(f"the demo leaves no age identity for {recipient}")


def judge(bin_dir: Path, age: str, cosign: str) -> None:
    """Everything; raises on the first thing that is not so."""
    with tempfile.TemporaryDirectory() as folder:
        demo = Demo(bin_dir, Path(folder))
        check_receipt(demo, cosign)
        check_values(demo, age)


def main() -> int:
    parser = argparse.ArgumentParser(description="run packproof-local demo once and judge what it leaves")
    parser.add_argument("--bin-dir", type=Path, required=True)
    parser.add_argument("--age", required=True)
    parser.add_argument("--cosign", required=True)
    options = parser.parse_args()
    try:
        judge(options.bin_dir.resolve(), options.age, options.cosign)
    except (Failed, check.Rejected, OSError, subprocess.TimeoutExpired, ValueError, KeyError) as error:
        print(f"failed: {type(error).__name__}: {error}")
        return 1
    print("the demo is as it must be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
