//! One encrypted value: `ENC[AES256_GCM,data:…,iv:…,tag:…,type:…]`.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// An encrypted value, decoded.
pub(crate) struct Sealed {
    /// Never empty: sops leaves the empty string in clear.
    pub(crate) ciphertext: Vec<u8>,
    pub(crate) nonce: [u8; NONCE_LEN],
    pub(crate) tag: [u8; TAG_LEN],
    pub(crate) kind: Kind,
}

/// The type beside the ciphertext. It is **not** authenticated by AES-GCM, only through the MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Str,
    Int,
    Float,
    Bool,
    Time,
    Comment,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SealedFault {
    Malformed,
    /// sops writes no other type; `bytes` it only reads.
    Type,
}

/// SOPS uses 256-bit nonces (`aes/cipher.go`, `nonceSize`).
pub(crate) const NONCE_LEN: usize = 32;
/// AES-GCM's full tag.
pub(crate) const TAG_LEN: usize = 16;

impl Sealed {
    /// Reads the one form that sops writes. sops itself also accepts line breaks in the base64 and text after the `]`.
    pub(crate) fn parse(text: &str) -> Result<Self, SealedFault> {
        let fields = || {
            let (ciphertext, rest) =
                text.strip_prefix("ENC[AES256_GCM,data:")?.strip_suffix(']')?.split_once(",iv:")?;
            let (nonce, rest) = rest.split_once(",tag:")?;
            let (tag, kind) = rest.split_once(",type:")?;
            Some((ciphertext, nonce, tag, kind))
        };
        let (ciphertext, nonce, tag, kind) = fields().ok_or(SealedFault::Malformed)?;
        let decode = |field: &str| BASE64_STANDARD.decode(field).map_err(|_| SealedFault::Malformed);
        let ciphertext = decode(ciphertext)?;
        if ciphertext.is_empty() {
            return Err(SealedFault::Malformed);
        }
        let nonce = decode(nonce)?.try_into().map_err(|_| SealedFault::Malformed)?;
        let tag = decode(tag)?.try_into().map_err(|_| SealedFault::Malformed)?;
        let kind = match kind {
            "str" => Kind::Str,
            "int" => Kind::Int,
            "float" => Kind::Float,
            "bool" => Kind::Bool,
            "time" => Kind::Time,
            "comment" => Kind::Comment,
            _ => return Err(SealedFault::Type),
        };
        Ok(Self { ciphertext, nonce, tag, kind })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IV: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const TAG: &str = "AAECAwQFBgcICQoLDA0ODw==";

    fn value(data: &str, iv: &str, tag: &str, kind: &str) -> String {
        format!("ENC[AES256_GCM,data:{data},iv:{iv},tag:{tag},type:{kind}]")
    }

    #[test]
    fn reads_the_one_form() {
        let sealed = Sealed::parse(&value("aGk=", IV, TAG, "int")).ok().unwrap();
        assert_eq!((sealed.ciphertext.as_slice(), sealed.kind), (b"hi".as_slice(), Kind::Int));
        assert_eq!(sealed.nonce, std::array::from_fn(|i| u8::try_from(i).unwrap()));
        assert_eq!(sealed.tag, std::array::from_fn(|i| u8::try_from(i).unwrap()));
    }

    #[test]
    fn refuses_every_other_form() {
        let good = value("aGk=", IV, TAG, "str");
        for text in [
            String::new(),
            good.replace("ENC", "enc"),
            good.replace("AES256_GCM", "AES128_GCM"),
            good.replace(",iv:", ",IV:"),
            good.replace(",tag:", ",tag: "),
            format!("{good} "),
            format!(" {good}"),
            format!("{good}x"),
            good.trim_end_matches(']').to_owned(),
            value("", IV, TAG, "str"),
            value("aGk", IV, TAG, "str"),
            value("aGl=", IV, TAG, "str"),
            value("aG\nk=", IV, TAG, "str"),
            value("aG-_", IV, TAG, "str"),
            value("aGk=", TAG, TAG, "str"),
            value("aGk=", "AAECAwQFBgcICQoL", TAG, "str"),
            value("aGk=", IV, IV, "str"),
            value("aGk=", IV, "AAECAwQFBgcICQoLDA0O", "str"),
            value("aGk=", IV, "", "str"),
        ] {
            assert_eq!(Sealed::parse(&text).err(), Some(SealedFault::Malformed), "{text}");
        }
        for kind in ["", "bytes", "int64", "Str", "str,type:str", "str]", "str "] {
            assert_eq!(Sealed::parse(&value("aGk=", IV, TAG, kind)).err(), Some(SealedFault::Type), "{kind}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

        #[test]
        fn no_text_makes_it_panic(text in "(ENC\\[AES256_GCM,data:)?([A-Za-z0-9+/=]{0,9}|,iv:|,tag:|,type:|é|\\])*") {
            let _ = Sealed::parse(&text);
        }
    }
}
