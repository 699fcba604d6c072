#!/usr/bin/env python3
"""Gives check_demo.py a false `packproof-local` and `packproof-verify`, once right and then with one fault at a time, and
expects each fault found.

    check_demo_selftest.py --age PROGRAM --cosign PROGRAM
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import io
import json
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

import check_artifact as check
import check_artifact_selftest as artifacts
import check_demo
import make_bundle

# fault, a text that the complaint must hold
FAULTS = {
    "demo-fails": "the demo ends with exit code 3",
    "no-root": "missing: ['root.pem']",
    "no-line": "prints 0 packproof-verify lines",
    "says-no": "the printed line: packproof-verify ends with exit code 1",
    "ignores-artifact": "changed artifact: packproof-verify ends with exit code 0",
    "ignores-receipt": "changed receipt: packproof-verify ends with exit code 0",
    "ignores-simulated": "simulated evidence taken for real: packproof-verify ends with exit code 0",
    "other-type": "cosign does not judge",
    "other-key": "cosign does not judge",
    "other-signer": "signature:",
    "other-recipient": "no age identity",
    "leak-in-file": "checkout.log: stripe.KEY, raw",
    "leak-in-output": "printed: stripe.KEY, base64",
}


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def false_demo(folder: Path, age: str, fault: str) -> int:
    """What the false packproof-local does."""
    if fault == "demo-fails":
        return 3
    folder.mkdir()
    (folder / "repo").mkdir()
    keys = folder / "keys"
    keys.mkdir()
    maker = artifacts.Maker(keys, age)
    expiry = (now() + datetime.timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    artifact = artifacts.text(maker.artifact(
        maker.seal_age(artifacts.compact(artifacts.VALUES)), change=lambda out: out.update(expiresAt=expiry),
        signer=maker.new_signer("other.pem") if fault == "other-signer" else None))
    (folder / "artifact.json").write_bytes(artifact)
    kind = check_demo.PREDICATE_TYPE if fault != "other-type" else "https://packproof.dev/attestation/pack/v1"
    make_bundle.make(folder / "artifact.json", kind, keys)
    line = (keys / "bundle.json").read_text()
    (folder / "artifact.receipt.sigstore.jsonl").write_text(line + line)
    recipient = maker.recipient if fault != "other-recipient" else "age1other"
    (folder / "packproof.toml").write_text(
        f'[[pack]]\nidentity = "checkout"\nenvironment = "production"\nrecipient = "{recipient}"\n'
        f'signer = {{ public_key = "{maker.verify_key}" }}\n')
    (folder / "release.json").write_text("{}")
    if fault != "no-root":
        (folder / "root.pem").write_text("root")
    if fault == "leak-in-file":
        (folder / "checkout.log").write_text(artifacts.VALUES["stripe"]["KEY"])
    if fault == "leak-in-output":
        print(check.base64.b64encode(b"x" + artifacts.VALUES["stripe"]["KEY"].encode()).decode())
    if fault != "no-line":
        print(f"Verify it:\n\n  packproof-verify {folder}/artifact.receipt.sigstore.jsonl \\\n    --artifact "
              f"{folder}/artifact.json --simulated --root {folder}/root.pem")
    return 0


def false_verify(words: list[str], fault: str) -> int:
    """What the false packproof-verify does: compares with what the demo wrote."""
    receipt = Path(words[0])
    folder = receipt.parent
    if "--export-key" in words:
        key = (folder / "keys/pub.pem").read_bytes()
        if fault == "other-key":
            key = subprocess.run(["openssl", "pkey", "-in", str(folder / "keys/signer.pem"), "-pubout"], check=True,
                                 stdout=subprocess.PIPE).stdout
        Path(words[words.index("--export-key") + 1]).write_bytes(key)
    line = (folder / "keys/bundle.json").read_text()
    subject = json.loads(check.base64.b64decode(json.loads(line)["dsseEnvelope"]["payload"]))["subject"][0]["digest"]
    found = check.hashlib.sha256((folder / "artifact.json").read_bytes()).hexdigest()
    wrong = fault == "says-no"
    wrong |= fault != "ignores-artifact" and found != subject["sha256"]
    wrong |= fault != "ignores-receipt" and receipt.read_text() != line + line
    wrong |= fault != "ignores-simulated" and "--simulated" not in words
    return 1 if wrong else 0


def install(bin_dir: Path, age: str, fault: str) -> None:
    """Writes the two false commands, which call this file."""
    for name in ("packproof-local", "packproof-verify"):
        program = bin_dir / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" --false {name} --fault "{fault}" --age "{age}" "$@"\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)


def complaint(age: str, cosign: str, fault: str) -> str:
    """What check_demo says about the demo with this fault; empty when it is content."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()) as said:
        install(Path(folder), age, fault)
        try:
            check_demo.judge(Path(folder), age, cosign)
        except (check_demo.Failed, check.Rejected) as error:
            return f"{said.getvalue()}{error}"
    return ""


def main() -> int:
    if "--false" in sys.argv:
        _, _, name, _, fault, _, age, *words = sys.argv
        if name == "packproof-local":
            return false_demo(Path(words[words.index("--dir") + 1]), age, fault)
        return false_verify(words, fault)

    parser = argparse.ArgumentParser(description="check the check of the demo")
    parser.add_argument("--age", required=True)
    parser.add_argument("--cosign", required=True)
    options = parser.parse_args()
    failures = []
    said = complaint(options.age, options.cosign, "none")
    if said:
        failures.append(f"the right demo is refused: {said}")
    for fault, expected in FAULTS.items():
        said = complaint(options.age, options.cosign, fault)
        if expected not in said:
            failures.append(f"{fault}: expected {expected!r}, found {said!r}")
        if artifacts.VALUES["stripe"]["KEY"] in said:
            failures.append(f"{fault}: the complaint shows a value")
    for failure in failures:
        print(f"failed: {failure}")
    print(f"{len(FAULTS) + 1} cases, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.exit(main())
