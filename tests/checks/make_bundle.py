#!/usr/bin/env python3
"""Makes a Sigstore v0.3 bundle over an in-toto statement, without any code of packproof.

The fixture behind `check_cosign.sh --self-test`, and the shape that a receipt's lines must have. Everything is
made here from the formats' own documents; the only helper is the `openssl` command, for the P-256 key.

    make_bundle.py --artifact FILE --type PREDICATE_TYPE --out DIR

writes into DIR:

    key.pem            the private key, PKCS#8 (a throwaway)
    pub.pem            its public key, SPKI
    bundle.json        the bundle, one line

The bundle, all members:

    mediaType              application/vnd.dev.sigstore.bundle.v0.3+json
    verificationMaterial
      publicKey.hint       base64 of SHA-256 over the SPKI DER: a name, nobody derives trust from it
      tlogEntries          []   (cosign also accepts the member's absence)
    dsseEnvelope
      payload              base64 of the statement's bytes
      payloadType          application/vnd.in-toto+json
      signatures           exactly one {"sig"}: base64 of the DER ECDSA signature over the PAE; no "keyid"

The statement: in-toto v1 with one subject, whose digest has sha256.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path

PAYLOAD_TYPE = "application/vnd.in-toto+json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE pre-authentication encoding, the bytes that are signed (secure-systems-lab/dsse, protocol.md)."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def statement(name: str, content: bytes, predicate_type: str) -> bytes:
    """An in-toto Statement v1 whose only subject is `content`."""
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}],
            "predicateType": predicate_type,
            "predicate": {},
        },
        separators=(",", ":"),
    ).encode()


def openssl(*arguments: str, stdin: bytes | None = None) -> bytes:
    """Runs openssl and returns its output; its failure is ours."""
    return subprocess.run(["openssl", *arguments], input=stdin, stdout=subprocess.PIPE, check=True).stdout


def make(artifact: Path, predicate_type: str, out: Path) -> None:
    """Writes key and bundle for `artifact` into `out`."""
    key = out / "key.pem"
    openssl("genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", str(key))
    openssl("pkey", "-in", str(key), "-pubout", "-out", str(out / "pub.pem"))
    spki = openssl("pkey", "-in", str(key), "-pubout", "-outform", "DER")

    payload = statement(artifact.name, artifact.read_bytes(), predicate_type)
    signature = openssl("dgst", "-sha256", "-sign", str(key), stdin=pae(PAYLOAD_TYPE, payload))
    bundle = {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {
            "publicKey": {"hint": base64.b64encode(hashlib.sha256(spki).digest()).decode()},
            "tlogEntries": [],
        },
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode()}],
        },
    }
    (out / "bundle.json").write_text(json.dumps(bundle, separators=(",", ":")) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="make a Sigstore v0.3 bundle over one file")
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--type", required=True, help="predicate type, a URI")
    parser.add_argument("--out", type=Path, required=True, help="an existing directory")
    options = parser.parse_args()
    make(options.artifact, options.type, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
