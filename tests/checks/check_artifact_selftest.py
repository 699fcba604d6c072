"""Makes artifacts with openssl, age and a small KMS of its own, breaks each rule of check_artifact.py once and expects
that rule's rejection. Started by `check_artifact.py --self-test`."""

from __future__ import annotations

import base64
import datetime
import hashlib
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Callable

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import check_artifact as check
import workload_kms

NOW = datetime.datetime(2026, 11, 23, 18, 40, 9, tzinfo=datetime.timezone.utc)
VALUES = {"stripe": {"KEY": "sk_test \"quoted\" \u00e9\u2028\n", "EMPTY": ""}, "flags": {}}
ARN = "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa"
CREDENTIALS = {"region": "eu-west-1", "access_key": "AKIDWORKLOAD", "secret_key": "workload-secret"}

# method, headers and the signature that AWS publishes for them (Signature Version 4 test suite, post-vanilla)
SIGV4_SIGNATURE = "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"

Artifact = dict[str, Any]


def compact(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Maker:
    """A packer: keys in `folder`, and every artifact from them."""

    def __init__(self, folder: Path, age: str) -> None:
        self.age = age
        self.folder = folder
        self.age_key = folder / "age.key"
        # age-keygen lies beside age
        self.run(str(Path(age).with_name("age-keygen")), "-o", str(self.age_key))
        self.recipient = self.run(str(Path(age).with_name("age-keygen")), "-y", str(self.age_key)).decode().strip()
        self.signer = self.new_signer("signer.pem")
        self.verify_key = encode(self.run("openssl", "pkey", "-in", str(self.signer), "-pubout", "-outform", "DER"))
        self.data_key = os.urandom(32)
        self.wrapped_key = os.urandom(48)

    def run(self, *command: str, stdin: bytes | None = None) -> bytes:
        return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout

    def new_signer(self, name: str) -> Path:
        path = self.folder / name
        self.run("openssl", "genpkey", "-algorithm", "ED25519", "-out", str(path))
        return path

    def sign(self, message: bytes, signer: Path | None = None) -> str:
        file = self.folder / "message"
        file.write_bytes(message)
        return encode(self.run("openssl", "pkeyutl", "-sign", "-inkey", str(signer or self.signer), "-rawin",
                               "-in", str(file)))

    def seal_age(self, plaintext: bytes, *options: str) -> bytes:
        return self.run(self.age, "--recipient", self.recipient, *options, stdin=plaintext)

    def artifact(self, ciphertext: bytes, envelope: Artifact | None = None, change: Callable[[Artifact], None] | None = None,
                 signer: Path | None = None, message: Callable[[bytes], bytes] = lambda message: message) -> Artifact:
        """An artifact that is right in all but what `change` does before it is signed."""
        out: Artifact = {
            "version": 1, "identity": "checkout", "environment": "production",
            "packedAt": "2026-11-23T18:40:09.112Z", "revision": "1795459209112-0a1b2c3d",
            "ciphertextHash": hashlib.sha256(encode(ciphertext).encode()).hexdigest(),
            "ciphertext": encode(ciphertext)}
        if envelope:
            out["envelope"] = envelope
        out["expiresAt"] = "2026-11-24T18:40:09.112Z"
        if change:
            change(out)
        fields = out.get("envelope") or {}
        lines = ["clef-sig-v3", "1", out["identity"], out["environment"], out["revision"], out["packedAt"],
                 out["ciphertextHash"], out.get("expiresAt") or "",
                 *(fields.get(name, "") for name in ("provider", "keyId", "wrappedKey", "algorithm", "iv", "authTag"))]
        out["signature"] = self.sign(message("\n".join(str(line) for line in lines).encode()), signer)
        out["signatureAlgorithm"] = "Ed25519"
        return out

    def kms_artifact(self, aad: bytes | None = None, tag_in_ciphertext: bool = False, **fields: str) -> Artifact:
        iv = os.urandom(12)
        sealed = AESGCM(self.data_key).encrypt(iv, compact(VALUES), aad)
        envelope = {"provider": "aws", "keyId": ARN, "wrappedKey": encode(self.wrapped_key),
                    "algorithm": "SYMMETRIC_DEFAULT", "iv": encode(iv), "authTag": encode(sealed[-16:]), **fields}
        return self.artifact(sealed if tag_in_ciphertext else sealed[:-16], envelope)


def text(artifact: Artifact) -> bytes:
    return json.dumps(artifact, ensure_ascii=False, indent=2).encode()


def kms_server(maker: Maker) -> http.server.ThreadingHTTPServer:
    """A KMS that unwraps one blob for one caller, over TLS with a certificate of its own."""
    certificate, key = maker.folder / "kms.pem", maker.folder / "kms.key"
    maker.run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate),
              "-days", "2", "-subj", "/CN=kms", "-addext", "subjectAltName=IP:127.0.0.1")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            signed = {name: self.headers[name] for name in ("content-type", "host", "x-amz-target")}
            expected = workload_kms.sigv4("POST", "/", signed, body, self.headers["x-amz-date"], "eu-west-1", "kms",
                                   CREDENTIALS["access_key"], CREDENTIALS["secret_key"])
            request = json.loads(body)
            if self.headers["authorization"] != expected["authorization"]:
                self.answer(403, {"__type": "InvalidSignatureException"})
            elif base64.b64decode(request["CiphertextBlob"]) != maker.wrapped_key or "EncryptionContext" in request:
                self.answer(400, {"__type": "InvalidCiphertextException"})
            else:
                # like KMS, answers with the key of the blob, whatever was asked for
                self.answer(200, {"KeyId": ARN, "Plaintext": encode(maker.data_key)})

        def answer(self, status: int, content: Any) -> None:
            body = compact(content)
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server.socket = tls.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def cases(maker: Maker) -> list[tuple[str, bytes, str | None]]:
    """Name, artifact, the rule that must reject it (none: accepted)."""
    sealed = maker.seal_age(compact(VALUES))
    good = maker.artifact(sealed)

    def edited(**members: Any) -> bytes:
        """Changed after signing; a member of value `...` is dropped."""
        return text({name: value for name, value in {**good, **members}.items() if value is not ...})

    def resigned(ciphertext: bytes = sealed, **members: Any) -> bytes:
        """Changed before signing, so that only the rule in question can object."""

        def change(out: Artifact) -> None:
            out.update(members)
            for name in [name for name, value in members.items() if value is ...]:
                del out[name]

        return text(maker.artifact(ciphertext, change=change))

    armored = maker.seal_age(compact(VALUES), "--armor")
    second = maker.run(str(Path(maker.age).with_name("age-keygen")), "-y", stdin=maker.run(
        str(Path(maker.age).with_name("age-keygen")))).decode().strip()
    other = maker.new_signer("other.pem")
    flipped = bytearray(sealed)
    flipped[-1] ^= 1
    kms = maker.kms_artifact()
    alias = ARN.replace("key/", "alias/")

    return [
        ("the age artifact as made", text(good), None),
        ("without expiry", resigned(expiresAt=...), None),
        ("the KMS artifact as made", text(kms), None),

        ("not JSON", text(good)[:-1], "json"),
        ("a byte-order mark", b"\xef\xbb\xbf" + text(good), "json"),
        ("a member twice", text(good).replace(b'"version": 1,', b'"version": 1,\n  "version": 1,'), "json"),
        ("revoked", edited(revokedAt="2026-11-23T18:40:10.000Z"), "revoked"),
        ("a list", b"[]", "shape"),
        ("version as a string", edited(version="1"), "shape"),
        ("version true", edited(version=True), "shape"),
        ("version 2", edited(version=2), "shape"),
        ("revision as a number", edited(revision=1795459209112), "shape"),
        ("identity absent", edited(identity=...), "shape"),
        ("expiresAt null", edited(expiresAt=None), "shape"),
        ("envelope null", edited(envelope=None), "shape"),
        ("envelope without authTag", text({**kms, "envelope": {k: v for k, v in kms["envelope"].items() if k != "authTag"}}),
         "shape"),
        ("signatureAlgorithm misspelt", edited(signatureAlgorithm="ed25519"), "shape"),
        ("empty ciphertext", edited(ciphertext=""), "empty"),
        ("empty envelope field", text({**kms, "envelope": {**kms["envelope"], "iv": ""}}), "empty"),
        ("expired", resigned(expiresAt="2026-11-23T18:40:09.000Z"), "expired"),
        ("expiry is no date", resigned(expiresAt="tomorrow"), "expired"),
        ("hash of the decoded bytes", resigned(ciphertextHash=hashlib.sha256(sealed).hexdigest()), "hash"),
        ("hash with a prefix", resigned(ciphertextHash="sha256:" + good["ciphertextHash"]), "hash"),
        ("hash in upper case", resigned(ciphertextHash=good["ciphertextHash"].upper()), "hash"),
        ("unsigned", edited(signature=...), "signature"),
        ("another identity than signed", edited(identity="billing"), "signature"),
        ("another environment than signed", edited(environment="staging"), "signature"),
        ("expiry taken away", edited(expiresAt=...), "signature"),
        ("envelope of another artifact", text({**kms, "envelope": {**kms["envelope"], "iv": encode(bytes(12))}}), "signature"),
        ("signed by another key", text(maker.artifact(sealed, signer=other)), "signature"),
        ("payload with a line feed at its end", text(maker.artifact(sealed, message=lambda m: m + b"\n")), "signature"),
        ("payload of version 2", text(maker.artifact(sealed, message=lambda m: m.replace(b"sig-v3", b"sig-v2"))),
         "signature"),
        ("payload of 13 lines", text(maker.artifact(sealed, message=lambda m: m[:-1])), "signature"),
        ("line feed in a field", resigned(identity="check\nout"), "signature"),
        ("signature in url-safe base64", edited(signature=good["signature"].rstrip("=")), "signature"),
        ("armored age", resigned(armored), "decrypt"),
        ("age file changed", resigned(bytes(flipped)), "decrypt"),
        ("sealed to somebody else", resigned(maker.run(maker.age, "--recipient", second, stdin=compact(VALUES))), "decrypt"),
        ("GCM tag left on the ciphertext", text(maker.kms_artifact(tag_in_ciphertext=True)), "decrypt"),
        ("GCM with additional data", text(maker.kms_artifact(aad=b"x")), "decrypt"),
        ("wrapped key that KMS does not know", text(maker.kms_artifact(wrappedKey=encode(bytes(48)))), "decrypt"),
        ("another provider", text(maker.kms_artifact(provider="gcp")), "decrypt"),
        ("alias instead of the key's ARN", text(maker.kms_artifact(keyId=alias)), "decrypt"),
        ("flat plaintext", resigned(maker.seal_age(compact({"KEY": "v"}))), "plaintext"),
        ("a number as value", resigned(maker.seal_age(compact({"stripe": {"KEY": 1}}))), "plaintext"),
        ("plaintext not UTF-8", resigned(maker.seal_age(b'{"a":{"b":"\xff"}}')), "plaintext"),
        ("plaintext with spaces", resigned(maker.seal_age(json.dumps(VALUES, ensure_ascii=False).encode())), "plaintext"),
        ("newline at the end", text(good) + b"\n", "form"),
        ("four spaces", json.dumps(good, indent=4).encode(), "form"),
        ("members in another order", text(dict(reversed(good.items()))), "form"),
        ("an unknown member", edited(attestation="x"), "form"),
        ("revision of another form", resigned(revision="7"), "form"),
        ("packedAt without milliseconds", resigned(packedAt="2026-11-23T18:40:09Z"), "form"),
        ("the other signatureAlgorithm", edited(signatureAlgorithm="ECDSA_SHA256"), "form"),
        ("KMS algorithm other than SYMMETRIC_DEFAULT", text(maker.kms_artifact(algorithm="RSA")), "form"),
        ("two recipients", resigned(maker.seal_age(compact(VALUES), "--recipient", second)), "recipient"),
        ("another identity than expected", resigned(identity="billing"), "scope"),
        ("another environment than expected", resigned(environment="staging"), "scope"),
        ("another value", resigned(maker.seal_age(compact({**VALUES, "stripe": {**VALUES["stripe"], "KEY": "x"}}))), "expected"),
        ("keys in another order", resigned(maker.seal_age(compact(
            {**VALUES, "stripe": dict(reversed(VALUES["stripe"].items()))}))), "expected"),
        ("a namespace too few", resigned(maker.seal_age(compact({"stripe": VALUES["stripe"]}))), "expected"),
    ]


def run(age: str) -> int:
    """Runs all cases; returns the exit code."""
    failures: list[str] = []
    signed = workload_kms.sigv4("POST", "/", {"host": "example.amazonaws.com"}, b"", "20150830T123600Z", "us-east-1", "service",
                         "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    if not signed["authorization"].endswith(f"Signature={SIGV4_SIGNATURE}"):
        failures.append("SigV4 disagrees with AWS's published signature")

    rules = {"json", "revoked", "shape", "empty", "expired", "hash", "signature", "decrypt", "plaintext", "form", "scope",
             "recipient", "expected"}
    with tempfile.TemporaryDirectory() as folder:
        maker = Maker(Path(folder), age)
        server = kms_server(maker)
        kms = workload_kms.Kms(f"https://127.0.0.1:{server.server_port}", str(maker.folder / "kms.pem"), **CREDENTIALS)
        given = check.Given(verify_key=maker.verify_key, now=NOW, age=age, age_key=str(maker.age_key), kms=kms,
                            identity="checkout", environment="production", expected=VALUES)
        every = cases(maker)
        for name, content, rule in every:
            found = verdict(content, given)
            if found != rule:
                failures.append(f"{name}: expected {rule or 'acceptance'}, found {found or 'acceptance'}")
        for name, changed in (
                ("KMS caller with a wrong secret", workload_kms.Kms(kms.endpoint, kms.ca, "eu-west-1", "AKIDWORKLOAD", "wrong")),
                ("KMS behind another CA", workload_kms.Kms(kms.endpoint, "/etc/ssl/certs/ca-certificates.crt", **CREDENTIALS))):
            if verdict(text(maker.kms_artifact()), check.Given(**{**vars(given), "kms": changed})) != "decrypt":
                failures.append(f"{name}: expected decrypt")
        server.shutdown()
        server.server_close()
        missed = rules - {rule for _, _, rule in every if rule}
        if missed:
            failures.append(f"no case breaks {sorted(missed)}")
        for failure in failures:
            print(f"failed: {failure}")
        print(f"{len(every) + 3} cases, {len(failures)} failed")
    return 1 if failures else 0


def verdict(content: bytes, given: check.Given) -> str | None:
    try:
        check.judge(content, given)
    except check.Rejected as rejected:
        return rejected.rule
    return None
