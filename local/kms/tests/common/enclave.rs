//! An enclave as the local KMS sees one: documents of the mock NSM, and the key that opens what is meant for it.
#![allow(dead_code, reason = "each test program uses its part")]

use std::collections::BTreeMap;

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeyEncryptionMechanism, RecipientInfo};
use packproof_local_nsm::{MockNsm, Pki};
use packproof_nsm::{AttestationRequest, Nsm};
use packproof_receipt::time::UnixMillis;

/// An enclave and its RSA key.
pub(crate) struct Enclave {
    pub(crate) nsm: MockNsm,
    key: PrivateDecryptingKey,
}

impl Enclave {
    /// With PCR1 and PCR2 of 1 and 2.
    pub(crate) fn new(pki: &Pki, pcr0: u8, clock: fn() -> UnixMillis) -> Self {
        Self::of_image(pki, [[pcr0; 48], [1; 48], [2; 48]], clock)
    }

    pub(crate) fn of_image(pki: &Pki, image: [[u8; 48]; 3], clock: fn() -> UnixMillis) -> Self {
        let pcrs: BTreeMap<u8, [u8; 48]> = (0..).zip(image).collect();
        let nsm = MockNsm::new(pki, pcrs, Box::new(clock), None).unwrap();
        Self { nsm, key: PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap() }
    }

    fn spki(&self) -> Vec<u8> {
        let der: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        der.as_ref().to_vec()
    }

    pub(crate) fn document_for(&self, public_key: Option<&[u8]>) -> Vec<u8> {
        let request = AttestationRequest { user_data: None, nonce: None, public_key };
        self.nsm.attest(&request).unwrap()
    }

    pub(crate) fn document(&self) -> Vec<u8> {
        self.document_for(Some(&self.spki()))
    }

    /// Opens a `CiphertextForRecipient` of one chunk. The places are those of AWS's samples.
    pub(crate) fn open(&self, envelope: &[u8]) -> Vec<u8> {
        let key = OaepPrivateDecryptingKey::new(self.key.clone()).unwrap();
        let mut content_key = vec![0; key.min_output_size()];
        let content_key = key.decrypt(&OAEP_SHA256_MGF1SHA256, &envelope[131..387], &mut content_key, None).unwrap();
        let iv: [u8; 16] = envelope[415..431].try_into().unwrap();
        let length = usize::from(envelope[434]);
        let mut content = envelope[435..435 + length].to_vec();
        assert_eq!(envelope[435 + length..], [0; 10]);
        let cipher =
            PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, content_key).unwrap()).unwrap();
        cipher.decrypt(&mut content, DecryptionContext::Iv128(FixedLength::from(iv))).unwrap().to_vec()
    }
}

pub(crate) fn recipient(document: Vec<u8>) -> RecipientInfo {
    RecipientInfo::builder()
        .key_encryption_algorithm(KeyEncryptionMechanism::RsaesOaepSha256)
        .attestation_document(Blob::new(document))
        .build()
}
