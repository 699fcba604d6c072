#!/usr/bin/env bash
# Makes the demo's keys and cells anew, through packproof-local, packproof and real sops: SOPS=… BIN=target/release make.sh
set -euo pipefail
cd "$(dirname "$0")"
: "${SOPS:?path of the native sops program}" "${BIN:?directory of packproof and packproof-local}"
work=$(mktemp -d)
trap 'kill "${up:-}" 2>/dev/null || true; rm -rf "$work"' EXIT

python3 - <<'PY' > kms-keys.json
import base64, json, os
names = ["cells-production", "envelope-production", "signer-production", "signer-dev", "age-key-dev"]
arn = "arn:aws:kms:eu-west-1:111122223333:key/de300000-0000-4000-8000-00000000000%d"
keys = {n: {"arn": arn % i, "material": base64.b64encode(os.urandom(32)).decode()} for i, n in enumerate(names, 1)}
print(json.dumps(keys, indent=2))
PY
arn() { python3 -c 'import json,sys; print(json.load(open("kms-keys.json"))[sys.argv[1]]["arn"])' "$1"; }
age-keygen -o "$work/workload" 2>/dev/null
{ echo "# DEMO KEY, PUBLIC: opens the artifact of checkout in dev. Never use it."; grep -v '^# created' "$work/workload"; } > workload-dev.age.txt
workload=$(age-keygen -y "$work/workload")

"$BIN/packproof-local" keys --dir "$work/state" --import kms-keys.json > /dev/null
start() { # start ARGS...: runs `up` and waits for its one line
  mkfifo "$work/fifo"
  "$BIN/packproof-local" up --dir "$work/state" --json "$@" > "$work/fifo" 2> "$work/log" &
  up=$!
  read -r report < "$work/fifo"
  rm "$work/fifo"
}
stop() { kill "$up"; wait "$up" || true; }
field() { python3 -c 'import json,sys; v=json.loads(sys.argv[1])
for k in sys.argv[2:]: v=v[k]
print(v)' "$report" "$@"; }
as() { # as ROLE COMMAND...
  local role=$1; shift
  AWS_ACCESS_KEY_ID=$(field env "$role" AWS_ACCESS_KEY_ID) AWS_SECRET_ACCESS_KEY=$(field env "$role" AWS_SECRET_ACCESS_KEY) \
    AWS_REGION=eu-west-1 AWS_ENDPOINT_URL_KMS=$(field kms_url) AWS_CA_BUNDLE=$(field kms_ca) "$@"
}

# a policy with which the enclave may give birth to the age key; nothing of it is kept but the sealed key
start
kms_url=$(field kms_url)
stop
cat > "$work/packproof.toml" <<TOML
schema = 1
[source]
repository = "$(cat repo/.packproof/repository)"
object_format = "sha1"
manifest = "clef.yaml"
[[source.signer]]
name = "nobody"
principal = "nobody@packproof.example"
ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
[kms]
simulated = { url = "$kms_url", ca = """$(cat "$work/state/ca.pem")""" }
[[pack]]
identity = "checkout"
environment = "dev"
namespaces = ["stripe"]
unseal = { kms = "$(arn age-key-dev)" }
recipient = "$workload"
signer = { kms = "$(arn signer-dev)" }
signers = ["nobody"]
max_ttl_seconds = 1
max_commit_age_seconds = 1
TOML
start --policy "$work/packproof.toml"
rm -f age-key-dev.json
as ci env PACKPROOF_ENCLAVE="$(field enclave)" "$BIN/packproof" seal age-key --identity checkout --environment dev -o age-key-dev.json
recipient=$(python3 -c 'import json; print(json.loads(json.load(open("age-key-dev.json"))["birth_statement"])["publicKey"])')

cat > repo/clef.yaml <<YAML
version: 1
environments:
  - { name: dev, description: Laptops and preview apps }
  - name: production
    description: Customers
    protected: true
    sops:
      backend: awskms
      aws_kms_arn: $(arn cells-production)
namespaces:
  - { name: stripe, description: Payment provider }
  - { name: rds-orders, description: Orders database }
sops:
  default_backend: age
  age:
    recipients:
      - $recipient
file_pattern: secrets/{namespace}/{environment}.enc.yaml
service_identities:
  - name: checkout
    description: Checkout API
    namespaces: [stripe, rds-orders]
    pack_only: true
    environments:
      dev: { recipient: $workload }
      production: { kms: { provider: aws, keyId: "$(arn envelope-production)" } }
YAML
for namespace in stripe rds-orders; do
  mkdir -p "repo/secrets/$namespace"
  "$SOPS" encrypt --age "$recipient" "plain/$namespace.dev.yaml" > "repo/secrets/$namespace/dev.enc.yaml"
  as author "$SOPS" encrypt --kms "$(arn cells-production)" "plain/$namespace.production.yaml" > "repo/secrets/$namespace/production.enc.yaml"
done
stop
