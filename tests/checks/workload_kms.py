"""The workload's side of KMS: plain `Decrypt` over HTTPS with AWS Signature Version 4, out of Python's library alone."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

# the longest answer read from KMS and the longest wait for it, seconds
MAX_ANSWER = 64 * 1024
TIMEOUT = 10


class KmsRefused(Exception):
    """KMS did not give the key."""


@dataclass
class Kms:
    """Where and as whom the workload asks KMS."""

    endpoint: str
    ca: str
    region: str
    access_key: str
    secret_key: str
    session_token: str | None = None


def decrypt(envelope: dict[str, str], kms: Kms) -> str:
    """The call for an artifact's envelope: no encryption context, no attestation. Returns the base64 of the key."""
    body = json.dumps({"KeyId": envelope["keyId"], "CiphertextBlob": envelope["wrappedKey"],
                       "EncryptionAlgorithm": envelope["algorithm"]}).encode()
    parts = urlsplit(kms.endpoint)
    headers = {"content-type": "application/x-amz-json-1.1", "host": parts.netloc,
               "x-amz-target": "TrentService.Decrypt"}
    if kms.session_token:
        headers["x-amz-security-token"] = kms.session_token
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = sigv4("POST", "/", headers, body, stamp, kms.region, "kms", kms.access_key, kms.secret_key)
    request = urllib.request.Request(f"https://{parts.netloc}/", data=body, headers=headers, method="POST")
    # the CA given and no other, and no proxy from the environment
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=kms.ca)))
    try:
        with opener.open(request, timeout=TIMEOUT) as response:
            answer = json.loads(response.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        raise KmsRefused(f"KMS refuses the workload: {error.code} {error_type(error.read(MAX_ANSWER))}") from error
    except ValueError as error:
        raise KmsRefused("KMS answers without JSON") from error
    except OSError as error:
        raise KmsRefused(f"KMS cannot be reached: {error}") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("Plaintext"), str):
        raise KmsRefused("KMS answers without Plaintext")
    if answer.get("KeyId") != envelope["keyId"]:
        raise KmsRefused(f"KMS used key {answer.get('KeyId')}, the envelope names {envelope['keyId']}")
    return answer["Plaintext"]


def error_type(body: bytes) -> str:
    try:
        return str(json.loads(body).get("__type", "without a type"))
    except (ValueError, AttributeError):
        return "without JSON"


def sigv4(method: str, path: str, headers: dict[str, str], body: bytes, stamp: str, region: str, service: str,
          access_key: str, secret_key: str) -> dict[str, str]:
    """AWS Signature Version 4 over lower-case `headers`; returns them with date and authorization added."""
    headers = {**headers, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [method, path, "", *(f"{name}:{headers[name].strip()}" for name in sorted(headers)), "", names,
         hashlib.sha256(body).hexdigest()])
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4" + secret_key.encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": authorization}
