"""The local KMS with AWS's Python SDK: `boto3_client.py ENDPOINT CA REGION POLICY`, credentials in the environment.

Prints what it saw as one JSON object; says nothing about whether that is right. POLICY is a key policy.
"""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, ca, region, policy = sys.argv[1:]
kms = boto3.client("kms", endpoint_url=endpoint, verify=ca, region_name=region,
                   config=Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=10))


def refused(call, **arguments):
    """Code, status and text of the error, as boto3 reads them."""
    try:
        call(**arguments)
    except ClientError as error:
        answer = error.response
        return {"code": answer["Error"]["Code"], "message": answer["Error"]["Message"],
                "status": answer["ResponseMetadata"]["HTTPStatusCode"], "class": type(error).__name__}
    return None


seen = {}
made = kms.create_key(Policy=policy, Description="of boto3")["KeyMetadata"]
arn = seen["arn"] = made["Arn"]
seen["created"] = made["CreationDate"].timestamp()
seen["described"] = kms.describe_key(KeyId=arn)["KeyMetadata"] == made
seen["policy"] = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"]) == json.loads(policy)
kms.put_key_policy(KeyId=arn, Policy=policy)

context = {"env": "prod", "umlaut": "\u00e4\U0001f600"}
blob = kms.encrypt(KeyId=arn, Plaintext=b"\x00value\xff", EncryptionContext=context)["CiphertextBlob"]
opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)
seen["decrypted"] = opened["Plaintext"] == b"\x00value\xff" and opened["KeyId"] == arn

kms.create_alias(AliasName="alias/boto3", TargetKeyId=arn)
seen["aliases"] = [[alias["AliasName"], alias["AliasArn"], alias["TargetKeyId"]]
                   for page in kms.get_paginator("list_aliases").paginate() for alias in page["Aliases"]]

data = kms.generate_data_key(KeyId="alias/boto3", KeySpec="AES_256")
seen["data_key"] = len(data["Plaintext"]) == 32 and data["KeyId"] == arn
seen["data_key_opened"] = kms.decrypt(CiphertextBlob=data["CiphertextBlob"], KeyId=arn)["Plaintext"] == data["Plaintext"]
bare = kms.generate_data_key_without_plaintext(KeyId=arn, NumberOfBytes=64)
seen["bare"] = "Plaintext" not in bare and len(kms.decrypt(CiphertextBlob=bare["CiphertextBlob"])["Plaintext"]) == 64
seen["random"] = len(kms.generate_random(NumberOfBytes=24)["Plaintext"])

moved = kms.re_encrypt(CiphertextBlob=blob, SourceEncryptionContext=context, DestinationKeyId="alias/boto3")
seen["moved"] = moved["SourceKeyId"] == arn and kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["KeyId"] == arn

seen["refused"] = {
    "context": refused(kms.decrypt, CiphertextBlob=blob),
    "garbage": refused(kms.decrypt, CiphertextBlob=b"garbage", KeyId=arn),
    "key": refused(kms.describe_key, KeyId="none"),
    "alias": refused(kms.describe_key, KeyId="alias/none"),
    "policy": refused(kms.put_key_policy, KeyId=arn, Policy="{}"),
    "document": refused(kms.decrypt, CiphertextBlob=blob, EncryptionContext=context, Recipient={
        "KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256", "AttestationDocument": b"no document"}),
    "unknown": refused(kms.replicate_key, KeyId=arn, ReplicaRegion="eu-west-2"),
}
print(json.dumps(seen))
