#!/usr/bin/env python3
"""Judges an artifact as an unmodified Clef runtime would, and then more strictly.

Written from the description of Clef's format alone; shares no code with packproof. The rules, in order, each with the
code that a rejection prints:

    json         UTF-8 JSON; no member twice
    revoked      no truthy `revokedAt`
    shape        members present, of their types; version 1; `null` is not "absent"
    empty        ciphertext, revision, ciphertextHash and the envelope's fields are not empty
    expired      `expiresAt` is in the future
    hash         ciphertextHash is SHA-256 of the base64 text, lower-case hex
    signature    Ed25519 over the fourteen-line payload `clef-sig-v3`, by `openssl`, with the key given
    decrypt      age: by the real `age`; KMS: plain `Decrypt` with the workload's credentials, then AES-256-GCM
    plaintext    compact JSON, {namespace: {key: string}}
    form         byte for byte as Clef writes it: member order, two spaces, no newline at the end, dates, base64
    scope        identity and environment are the expected ones (with --identity, --environment)
    recipient    an age file opens for one X25519 recipient and no other
    expected     the values are those of --expect-json, in that order

    check_artifact.py --artifact artifact.json --verify-key BASE64_SPKI \\
        [--age-key FILE --age PROGRAM] \\
        [--kms-endpoint URL --kms-ca PEM --region R --access-key ID --secret-key S [--session-token T]] \\
        [--expect-json FILE] [--identity I] [--environment E] [--now 2026-11-23T18:40:09Z]
    check_artifact.py --self-test --age PROGRAM

Exit code 0 accepted, 1 rejected, 2 usage or unreadable input. Prints names, digests and counts, never a value.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import datetime
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

sys.dont_write_bytecode = True

from workload_kms import Kms, KmsRefused, decrypt as kms_decrypt

TOP = ("version", "identity", "environment", "packedAt", "revision", "ciphertextHash", "ciphertext", "envelope",
       "expiresAt", "signature", "signatureAlgorithm")
REQUIRED = ("identity", "environment", "packedAt", "revision", "ciphertextHash", "ciphertext")
ENVELOPE = ("provider", "keyId", "wrappedKey", "algorithm", "iv", "authTag")
ALGORITHMS = ("Ed25519", "ECDSA_SHA256")

# DER in front of the 32 bytes of an Ed25519 public key (RFC 8410)
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
AGE_INTRO = b"age-encryption.org/v1\n"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
REVISION = re.compile(r"[1-9]\d*-[0-9a-f]{8}")
KEY_ARN = re.compile(r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")


class Rejected(Exception):
    """One rule said no."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(f"{rule}: {reason}")
        self.rule = rule


def reject(rule: str, reason: str) -> NoReturn:
    raise Rejected(rule, reason)


@dataclass
class Given:
    """What the caller states; everything not stated is not compared."""

    verify_key: str
    now: datetime.datetime
    age: str | None = None
    age_key: str | None = None
    kms: Kms | None = None
    identity: str | None = None
    environment: str | None = None
    expected: Any = None


def judge(content: bytes, given: Given) -> list[str]:
    """Applies every rule to the artifact's bytes. Returns what was done, a line each; raises `Rejected`."""
    artifact = parse(content)
    check_shape(artifact)
    done = [f"artifact of {len(content)} bytes, identity {artifact['identity']}, environment {artifact['environment']}"]

    expires = artifact.get("expiresAt")
    if expires is not None:
        # Clef lets a date that it cannot read never expire; such an artifact is not one of ours
        if instant(expires, "expired") <= given.now:
            reject("expired", f"expired at {expires}")
        done.append(f"expires at {expires}")

    ciphertext = artifact["ciphertext"]
    digest = hashlib.sha256(ciphertext.encode()).hexdigest()
    if digest != artifact["ciphertextHash"]:
        reject("hash", f"ciphertextHash is {artifact['ciphertextHash']}, the text hashes to {digest}")
    done.append("ciphertextHash agrees")

    check_signature(artifact, given.verify_key)
    done.append("Ed25519 signature over clef-sig-v3 verified by openssl")

    if "envelope" in artifact:
        plaintext = open_kms(artifact, given.kms)
        done.append(f"opened with the key that KMS unwrapped, {artifact['envelope']['keyId']}")
    else:
        plaintext = open_age(unbase64(ciphertext, "decrypt", "ciphertext"), given)
        done.append("opened by age")

    values = check_plaintext(plaintext)
    done.append(f"{len(values)} namespaces, {sum(len(keys) for keys in values.values())} keys, all strings")
    check_form(content, artifact)
    done.append("written byte for byte as Clef writes it")

    for name, expected in (("identity", given.identity), ("environment", given.environment)):
        if expected is not None and artifact[name] != expected:
            reject("scope", f"{name} is {artifact[name]!r}, expected {expected!r}")
    if "envelope" not in artifact:
        check_recipients(unbase64(ciphertext, "decrypt", "ciphertext"))
        done.append("one X25519 recipient")
    if given.expected is not None:
        compare(values, given.expected)
        done.append("values are the expected ones")
    return done


def parse(content: bytes) -> dict[str, Any]:
    """Reads the JSON; a revoked artifact ends here, before anything else of it is believed."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        out = dict(pairs)
        if len(out) != len(pairs):
            reject("json", "a member occurs twice")
        return out

    try:
        artifact = json.loads(content.decode("utf-8"), object_pairs_hook=members, parse_constant=lambda name: reject(
            "json", f"{name} is not JSON"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        reject("json", f"not UTF-8 JSON ({type(error).__name__})")
    if isinstance(artifact, dict) and artifact.get("revokedAt"):
        reject("revoked", "revokedAt is set")
    return artifact


def check_shape(artifact: Any) -> None:
    """Members, types and emptiness, as the runtime's guard has them."""
    if not isinstance(artifact, dict):
        reject("shape", "not an object")
    version = artifact.get("version")
    if isinstance(version, bool) or not isinstance(version, (int, float)) or version != 1:
        reject("shape", "version is not the number 1")
    for name in REQUIRED:
        if not isinstance(artifact.get(name), str):
            reject("shape", f"{name} is not a string")
    for name in ("expiresAt", "revokedAt", "signature"):
        if name in artifact and not isinstance(artifact[name], str):
            reject("shape", f"{name} is there and not a string")
    if "signatureAlgorithm" in artifact and artifact["signatureAlgorithm"] not in ALGORITHMS:
        reject("shape", "signatureAlgorithm is unknown")
    envelope = artifact.get("envelope", {})
    if not isinstance(envelope, dict):
        reject("shape", "envelope is not an object")
    if "envelope" in artifact:
        for name in ENVELOPE:
            if not isinstance(envelope.get(name), str):
                reject("shape", f"envelope.{name} is not a string")
            if not envelope[name]:
                reject("empty", f"envelope.{name} is empty")
    for name in ("ciphertext", "revision", "ciphertextHash"):
        if not artifact[name]:
            reject("empty", f"{name} is empty")


def payload(artifact: dict[str, Any]) -> bytes:
    """The fourteen lines that are signed."""
    envelope = artifact.get("envelope", {})
    lines = ["clef-sig-v3", "1", artifact["identity"], artifact["environment"], artifact["revision"],
             artifact["packedAt"], artifact["ciphertextHash"], artifact.get("expiresAt", "")]
    lines += [envelope.get(name, "") for name in ENVELOPE]
    # nothing is escaped, so a line feed inside a field could move bytes from one field to the next
    if any(ord(character) < 0x20 or ord(character) == 0x7F for line in lines for character in line):
        reject("signature", "a signed field holds a control character")
    return "\n".join(lines).encode()


def check_signature(artifact: dict[str, Any], verify_key: str) -> None:
    if "signature" not in artifact:
        reject("signature", "there is none")
    signature = unbase64(artifact["signature"], "signature", "signature")
    with tempfile.TemporaryDirectory() as folder:
        key, message, proof = (Path(folder, name) for name in ("key.der", "payload", "signature"))
        key.write_bytes(base64.b64decode(verify_key))
        message.write_bytes(payload(artifact))
        proof.write_bytes(signature)
        answer = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", str(key), "-rawin",
             "-in", str(message), "-sigfile", str(proof)], capture_output=True, check=False)
    if answer.returncode != 0 or b"Signature Verified Successfully" not in answer.stdout:
        reject("signature", "openssl does not verify it with the key given")


def open_age(ciphertext: bytes, given: Given) -> bytes:
    if not ciphertext.startswith(AGE_INTRO):
        reject("decrypt", "not a binary age file")
    if given.age is None or given.age_key is None:
        reject("decrypt", "an age artifact, and no --age and --age-key")
    answer = subprocess.run([given.age, "--decrypt", "--identity", given.age_key], input=ciphertext,
                            capture_output=True, check=False)
    if answer.returncode != 0:
        reject("decrypt", f"age refuses it with exit code {answer.returncode}")
    return answer.stdout


def open_kms(artifact: dict[str, Any], kms: Kms | None) -> bytes:
    # here, so that age artifacts can be judged by any Python
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    envelope = artifact["envelope"]
    if envelope["provider"] != "aws":
        reject("decrypt", f"provider {envelope['provider']!r} is not aws")
    if kms is None:
        reject("decrypt", "a KMS artifact, and no --kms-endpoint with its options")
    try:
        key = unbase64(kms_decrypt(envelope, kms), "decrypt", "KMS's Plaintext")
    except KmsRefused as error:
        reject("decrypt", str(error))
    iv = unbase64(envelope["iv"], "decrypt", "envelope.iv")
    tag = unbase64(envelope["authTag"], "decrypt", "envelope.authTag")
    body = unbase64(artifact["ciphertext"], "decrypt", "ciphertext")
    if (len(key), len(iv), len(tag)) != (32, 12, 16):
        reject("decrypt", f"key, iv and tag have {len(key)}, {len(iv)} and {len(tag)} bytes, not 32, 12 and 16")
    try:
        return AESGCM(key).decrypt(iv, body + tag, None)
    except InvalidTag:
        reject("decrypt", "AES-256-GCM does not open it")


def check_plaintext(plaintext: bytes) -> dict[str, dict[str, str]]:
    try:
        text = plaintext.decode("utf-8")
        values = json.loads(text)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        reject("plaintext", "not UTF-8 JSON")
    if not isinstance(values, dict) or not all(isinstance(keys, dict) for keys in values.values()):
        reject("plaintext", "not an object of objects")
    if not all(isinstance(value, str) for keys in values.values() for value in keys.values()):
        reject("plaintext", "a value is not a string")
    if json.dumps(values, ensure_ascii=False, separators=(",", ":")) != text:
        reject("plaintext", "not in JSON.stringify's compact form")
    return values


def check_form(content: bytes, artifact: dict[str, Any]) -> None:
    """What the runtime tolerates and Clef nevertheless always does."""
    if list(artifact) != [name for name in TOP if name in artifact]:
        reject("form", "members are unknown or in another order")
    envelope = artifact.get("envelope", {})
    if envelope and list(envelope) != list(ENVELOPE):
        reject("form", "envelope members are unknown or in another order")
    if json.dumps(artifact, ensure_ascii=False, indent=2).encode() != content:
        reject("form", "not JSON with two spaces, line feeds between and none at the end")
    for name in ("packedAt", "expiresAt"):
        if name in artifact:
            instant(artifact[name], "form")
    if not REVISION.fullmatch(artifact["revision"]):
        reject("form", "revision is not MILLISECONDS-8HEX")
    if artifact.get("signatureAlgorithm") != "Ed25519":
        reject("form", "signatureAlgorithm is not Ed25519")
    unbase64(artifact["ciphertext"], "form", "ciphertext")
    if envelope and (envelope["algorithm"] != "SYMMETRIC_DEFAULT" or not KEY_ARN.fullmatch(envelope["keyId"])):
        reject("form", "the envelope is not of SYMMETRIC_DEFAULT under a complete key ARN")
    if envelope:
        unbase64(envelope["wrappedKey"], "form", "envelope.wrappedKey")


def check_recipients(ciphertext: bytes) -> None:
    """Reads the stanzas of the age header. A grease stanza (name ending in -grease) opens for nobody."""
    kinds = []
    for line in ciphertext[len(AGE_INTRO):].split(b"\n"):
        if line.startswith(b"--- "):
            break
        if line.startswith(b"-> "):
            kinds.append(line.split(b" ")[1])
    real = [kind for kind in kinds if not kind.endswith(b"-grease")]
    if real != [b"X25519"]:
        reject("recipient", f"the age file has the stanzas {real}, expected one X25519")


def compare(values: dict[str, dict[str, str]], expected: Any) -> None:
    """Names what differs by its path; the values stay unsaid."""
    if not isinstance(expected, dict) or list(values) != list(expected):
        reject("expected", f"namespaces are {list(values)}")
    for namespace, keys in values.items():
        if list(keys) != list(expected[namespace]):
            reject("expected", f"namespace {namespace} has other keys, or the same in another order")
        for key, value in keys.items():
            if value != expected[namespace][key]:
                reject("expected", f"another value at {namespace}.{key}")


def instant(text: str, rule: str) -> datetime.datetime:
    """Reads a date as Clef writes it, UTC with milliseconds."""
    try:
        if not DATE.fullmatch(text):
            raise ValueError
        return datetime.datetime.fromisoformat(text[:-1]).replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        reject(rule, f"{text!r} is not a date as YYYY-MM-DDTHH:MM:SS.mmmZ")


def unbase64(text: str, rule: str, what: str) -> bytes:
    """Standard base64 with padding, in its one canonical form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        reject(rule, f"{what} is not standard base64")
    if base64.b64encode(data).decode() != text:
        reject(rule, f"{what} is not in base64's canonical form")
    return data


def main() -> int:
    parser = argparse.ArgumentParser(description="judge an artifact independently of packproof")
    parser.add_argument("--self-test", action="store_true", help="make an artifact, break each rule once")
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--verify-key", help="base64 of the DER SPKI")
    parser.add_argument("--age", help="the age program")
    parser.add_argument("--age-key", help="file with the workload's age identity")
    for name in ("endpoint", "ca"):
        parser.add_argument(f"--kms-{name}")
    for name in ("region", "access-key", "secret-key", "session-token", "identity", "environment"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--expect-json", type=Path, help="the plaintext that must be inside")
    parser.add_argument("--now", help="judge expiry at this time (ISO 8601, UTC) instead of the clock's")
    options = parser.parse_args()
    if options.self_test:
        if not options.age:
            parser.error("--self-test needs --age")
        import check_artifact_selftest

        return check_artifact_selftest.run(options.age)
    if not options.artifact or not options.verify_key:
        parser.error("--artifact and --verify-key are needed")
    kms = (options.kms_endpoint, options.kms_ca, options.region, options.access_key, options.secret_key)
    if any(kms) and not all(kms):
        parser.error("--kms-endpoint, --kms-ca, --region, --access-key and --secret-key go together")
    if kms[0] and not kms[0].startswith("https://"):
        parser.error("--kms-endpoint is an https URL")
    try:
        spki = base64.b64decode(options.verify_key, validate=True)
    except ValueError:
        parser.error("--verify-key is not base64")
    if len(spki) != 44 or not spki.startswith(ED25519_SPKI):
        parser.error("--verify-key is not an Ed25519 SPKI")

    try:
        now = datetime.datetime.now(datetime.timezone.utc)
        if options.now:
            now = datetime.datetime.fromisoformat(options.now.replace("Z", "+00:00"))
            if now.tzinfo is None:
                parser.error("--now names no zone; end it with Z")
        given = Given(
            verify_key=options.verify_key, now=now, age=options.age, age_key=options.age_key,
            kms=Kms(*kms, options.session_token) if all(kms) else None, identity=options.identity,
            environment=options.environment,
            expected=json.loads(options.expect_json.read_text("utf-8")) if options.expect_json else None)
        content = options.artifact.read_bytes()
    except (OSError, ValueError) as error:
        print(f"cannot read the input: {error}", file=sys.stderr)
        return 2
    try:
        for line in judge(content, given):
            print(line)
    except Rejected as error:
        print(f"rejected: {error}")
        return 1
    print("accepted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
