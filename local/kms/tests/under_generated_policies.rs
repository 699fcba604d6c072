//! The policies of `packproof kms-policy generate`, put into the local KMS and called over HTTPS with real documents.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests, which state what they expect by panicking"
)]

mod common;
#[path = "common/enclave.rs"]
mod enclave;
#[path = "common/generated.rs"]
mod generated;

use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use common::{Server, code, now, start};
use enclave::{Enclave, recipient};
use generated::{AGE, CELLS, ENVELOPE, SIGNER, role};
use packproof_local_nsm::Pki;
use packproof_secret::Secret;
use serde_json::Value;
use tempfile::TempDir;

const DENIED: &str = "AccessDeniedException";

/// A KMS with the four keys under the policies for these releases, and the image of each release.
struct Setup {
    _dir: TempDir,
    server: Server,
    images: Vec<Enclave>,
    other: Enclave,
}

async fn setup(releases: &[&[u8]]) -> Setup {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::in_memory(now()).unwrap();
    let server = start(dir.path(), pki.root_der()).await;
    let object = generated::generated(releases);
    for key in object["keys"].as_array().unwrap() {
        let material = Secret::copy_from(&[4; 32]).unwrap();
        server.kms.import_key(key["arn"].as_str().unwrap(), material, &key["policy"]).unwrap();
    }
    let pcr = |image: &Value, name: &str| hex::decode(image[name].as_str().unwrap()).unwrap().try_into().unwrap();
    let images = object["images"].as_array().unwrap().iter();
    let images: Vec<[[u8; 48]; 3]> =
        images.map(|image| ["pcr0", "pcr1", "pcr2"].map(|name| pcr(image, name))).collect();
    // The first image with one bit of the policy ramdisk's measurement changed, and so of PCR0.
    let mut other = images[0];
    other[0][0] ^= 1;
    other[2][0] ^= 1;
    let of_image = |image: [[u8; 48]; 3]| Enclave::of_image(&pki, image, now);
    Setup { _dir: dir, server, images: images.iter().copied().map(of_image).collect(), other: of_image(other) }
}

impl Setup {
    fn client(&self, name: &str) -> Client {
        self.server.client(&role(name))
    }

    /// What an enclave gets with CI's credentials.
    async fn decrypt(&self, key: &str, blob: &Blob, enclave: &Enclave) -> Result<Vec<u8>, String> {
        let sent = self.client("ci").decrypt().key_id(key).ciphertext_blob(blob.clone());
        match sent.recipient(recipient(enclave.document())).send().await {
            Ok(answer) => Ok(enclave.open(answer.ciphertext_for_recipient().unwrap().as_ref())),
            failed => Err(code(failed)),
        }
    }

    async fn data_key(&self, key: &str, enclave: &Enclave) -> Result<(Blob, Vec<u8>), String> {
        let sent = self.client("ci").generate_data_key().key_id(key).key_spec(DataKeySpec::Aes256);
        match sent.recipient(recipient(enclave.document())).send().await {
            Ok(made) => {
                let opened = enclave.open(made.ciphertext_for_recipient().unwrap().as_ref());
                Ok((made.ciphertext_blob.unwrap(), opened))
            }
            failed => Err(code(failed)),
        }
    }

    async fn encrypt(&self, name: &str, key: &str) -> Result<Blob, String> {
        match self.client(name).encrypt().key_id(key).plaintext(Blob::new("cell key")).send().await {
            Ok(answer) => Ok(answer.ciphertext_blob.unwrap()),
            failed => Err(code(failed)),
        }
    }
}

#[tokio::test]
async fn author_image_and_workload_each_do_their_part_and_no_more() {
    let setup = setup(&[b"one"]).await;
    let image = &setup.images[0];

    // An author encrypts a cell; only the image opens it.
    let cell = setup.encrypt("author", CELLS).await.unwrap();
    assert_eq!(setup.decrypt(CELLS, &cell, image).await.unwrap(), b"cell key");
    assert_eq!(setup.decrypt(CELLS, &cell, &setup.other).await.unwrap_err(), DENIED);
    for name in ["author", "ci", "workload", "admin"] {
        assert_eq!(code(setup.client(name).decrypt().ciphertext_blob(cell.clone()).send().await), DENIED, "{name}");
    }

    // The image makes the artifact's data key; only the workload opens it, without attestation.
    let (wrapped, data_key) = setup.data_key(ENVELOPE, image).await.unwrap();
    let opened =
        setup.client("workload").decrypt().key_id(ENVELOPE).ciphertext_blob(wrapped.clone()).send().await.unwrap();
    assert_eq!(opened.plaintext().unwrap().as_ref(), data_key);
    for name in ["author", "ci", "admin"] {
        assert_eq!(code(setup.client(name).decrypt().ciphertext_blob(wrapped.clone()).send().await), DENIED, "{name}");
    }
    assert_eq!(setup.decrypt(ENVELOPE, &wrapped, image).await.unwrap_err(), DENIED);
    assert_eq!(setup.data_key(ENVELOPE, &setup.other).await.unwrap_err(), DENIED);

    // A sealed key is born in the image where none is pinned yet, and nobody else can make one.
    let (born, _) = setup.data_key(AGE, image).await.unwrap();
    assert_eq!(setup.decrypt(AGE, &born, image).await.unwrap_err(), DENIED);
    assert_eq!(setup.data_key(SIGNER, image).await.unwrap_err(), DENIED);
    for name in ["author", "ci", "workload", "admin"] {
        for key in [SIGNER, AGE, ENVELOPE] {
            assert_eq!(setup.encrypt(name, key).await.unwrap_err(), DENIED, "{name} {key}");
            let sent = setup.client(name).generate_data_key().key_id(key).key_spec(DataKeySpec::Aes256);
            assert_eq!(code(sent.send().await), DENIED, "{name} {key}");
        }
    }

    // Nor is there a way over another key: neither out of the cells' key nor into the sealing key.
    for (from, to) in [(CELLS, ENVELOPE), (CELLS, SIGNER), (CELLS, CELLS)] {
        for name in ["author", "ci", "admin"] {
            let sent = setup.client(name).re_encrypt().ciphertext_blob(cell.clone()).source_key_id(from);
            assert_eq!(code(sent.destination_key_id(to).send().await), DENIED, "{name} {from} {to}");
        }
    }
}

#[tokio::test]
async fn the_administrator_puts_the_next_policy_and_the_old_image_is_out() {
    let setup = setup(&[b"one", b"two"]).await;
    let cell = setup.encrypt("author", CELLS).await.unwrap();
    for image in &setup.images {
        assert_eq!(setup.decrypt(CELLS, &cell, image).await.unwrap(), b"cell key");
    }
    let after = generated::generated(&[b"two"]);
    let policy =
        after["keys"].as_array().unwrap().iter().find(|key| key["arn"] == CELLS).unwrap()["policy"].to_string();
    for name in ["ci", "author", "workload"] {
        let put = setup.client(name).put_key_policy().key_id(CELLS).policy(&policy);
        assert_eq!(code(put.send().await), DENIED, "{name}");
    }
    setup.client("admin").put_key_policy().key_id(CELLS).policy(&policy).send().await.unwrap();
    assert_eq!(setup.decrypt(CELLS, &cell, &setup.images[0]).await.unwrap_err(), DENIED);
    assert_eq!(setup.decrypt(CELLS, &cell, &setup.images[1]).await.unwrap(), b"cell key");
    // What a receipt records, with CI's credentials.
    let recorded = setup.client("ci").get_key_policy().key_id(CELLS).send().await.unwrap();
    assert_eq!(recorded.policy(), Some(policy.as_str()));
    assert!(setup.client("ci").describe_key().key_id(CELLS).send().await.is_ok());
}
