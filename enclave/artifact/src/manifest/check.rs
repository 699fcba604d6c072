//! Clef's rules for single values.

use std::fmt;

use crate::number::is_js_space;

/// Why a text is not an age recipient by Clef's rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgeKeyProblem {
    /// It does not start with `age1`.
    Prefix,
    /// It has fewer than ten characters.
    TooShort,
    /// It has a character outside the lower-case bech32 alphabet.
    Character,
}

/// Which part of an AWS KMS ARN is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArnSegment {
    /// Not exactly six parts that start with `arn`.
    Shape,
    /// Not `aws` or `aws-…`.
    Partition,
    /// Not `kms`.
    Service,
    /// Empty or not like `us-east-1`.
    Region,
    /// Not exactly twelve digits.
    Account,
    /// Not `key/<id>` or `alias/<name>`.
    Resource,
}

/// `^[a-z][a-z0-9_-]*$`: an environment or a namespace.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

/// A DNS label: `^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`.
pub(super) fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Clef's rule for an age recipient: the trimmed text, or what is wrong. **The checksum is not checked**: Clef finds a
/// mistyped key only when it encrypts, and so does [`crate::seal::seal_age`].
pub(super) fn age_key(text: &str) -> Result<String, AgeKeyProblem> {
    let trimmed = text.trim_matches(is_js_space);
    let body = trimmed.strip_prefix("age1").ok_or(AgeKeyProblem::Prefix)?;
    if trimmed.chars().count() < 10 {
        return Err(AgeKeyProblem::TooShort);
    }
    if body.chars().any(|c| !"qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(c)) {
        return Err(AgeKeyProblem::Character);
    }
    Ok(trimmed.into())
}

/// `^pkcs11:[a-zA-Z][a-zA-Z0-9_-]*=[^;]+`.
pub(super) fn is_pkcs11_uri(text: &str) -> bool {
    let attribute = text.strip_prefix("pkcs11:").and_then(|rest| rest.split_once('='));
    attribute.is_some_and(|(name, value)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
            && !value.is_empty()
            && !value.starts_with(';')
    })
}

/// A complete ARN of a KMS key or alias.
///
/// Stricter than Clef: a control character in the resource is refused, because no key has one.
pub(super) fn kms_arn(text: &str) -> Result<(), ArnSegment> {
    let parts: Vec<&str> = text.splitn(7, ':').collect();
    let [arn, partition, service, region, account, resource] = parts.as_slice() else {
        return Err(ArnSegment::Shape);
    };
    let resource_name = resource.strip_prefix("key/").or_else(|| resource.strip_prefix("alias/"));
    let checks = [
        (*arn == "arn", ArnSegment::Shape),
        (is_partition(partition), ArnSegment::Partition),
        (*service == "kms", ArnSegment::Service),
        (is_region(region), ArnSegment::Region),
        (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()), ArnSegment::Account),
        (resource_name.is_some_and(|name| !name.is_empty() && !name.contains(char::is_control)), ArnSegment::Resource),
    ];
    checks.into_iter().try_for_each(|(good, segment)| if good { Ok(()) } else { Err(segment) })
}

fn is_partition(text: &str) -> bool {
    text == "aws"
        || text.strip_prefix("aws-").is_some_and(|rest| {
            !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        })
}

/// Like `us-east-1` or `us-gov-west-1`: two letters, words, a number.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    match parts.as_slice() {
        [area, words @ .., number] => {
            area.len() == 2
                && is_word(area)
                && !words.is_empty()
                && words.iter().all(is_word)
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

impl fmt::Display for AgeKeyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Prefix => "not an age recipient: must start with age1",
            Self::TooShort => "not an age recipient: too short",
            Self::Character => {
                "not an age recipient: only native X25519 recipients are supported, in lower case and without the \
                 digit 1 after age1"
            }
        })
    }
}

impl fmt::Display for ArnSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "it does not have six parts that start with arn",
            Self::Partition => "wrong partition",
            Self::Service => "wrong service",
            Self::Region => "wrong region",
            Self::Account => "wrong account",
            Self::Resource => "wrong resource",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels() {
        for good in ["a", "rds-orders", "a_1", "constructor"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "1a", "-a", "_a", "A", "a.b", "aé", "a\n", "a/b"] {
            assert!(!is_name(bad), "{bad:?}");
        }
        for good in ["a", "0", "api-gateway", &"a".repeat(63)] {
            assert!(is_dns_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a_b", "A", &"a".repeat(64), "a\n"] {
            assert!(!is_dns_label(bad), "{bad:?}");
        }
    }

    #[test]
    fn age_keys_are_trimmed_and_checked_by_alphabet_only() {
        assert_eq!(age_key("\u{feff} age1qqqqqq \n").unwrap(), "age1qqqqqq");
        assert_eq!(age_key("age1qqqqq"), Err(AgeKeyProblem::TooShort));
        assert_eq!(age_key("ssh-ed25519 AAAA"), Err(AgeKeyProblem::Prefix));
        assert_eq!(age_key("AGE1QQQQQQQ"), Err(AgeKeyProblem::Prefix));
        for bad in
            ["age1QQQQQQQ", "age1pq1qqqqqq", "age1tag1qqqqq", "age1yubikey1qqq", "age1qqqqqqb", "age1qqqqqq\u{85}"]
        {
            assert_eq!(age_key(bad), Err(AgeKeyProblem::Character), "{bad:?}");
        }
    }

    #[test]
    fn pkcs11_uris() {
        for good in ["pkcs11:slot=0", "pkcs11:slot=0;label=x", "pkcs11:a_b-C9==", "pkcs11:x=1;"] {
            assert!(is_pkcs11_uri(good), "{good}");
        }
        for bad in [
            "",
            "pkcs11:",
            "pkcs11:slot",
            "pkcs11:slot=",
            "pkcs11:slot=;a=b",
            "pkcs11:0a=b",
            "PKCS11:a=b",
            "pkcs11:a b=c",
        ] {
            assert!(!is_pkcs11_uri(bad), "{bad}");
        }
    }

    #[test]
    fn arns_name_the_faulty_segment() {
        for good in [
            "arn:aws:kms:eu-west-1:111122223333:key/0a1b2c3d-0000-4000-8000-00000000aaaa",
            "arn:aws-us-gov:kms:us-gov-west-1:111122223333:alias/checkout/envelope",
            "arn:aws-cn:kms:cn-north-1:111122223333:key/mrk-1",
        ] {
            assert_eq!(kms_arn(good), Ok(()), "{good}");
        }
        for (bad, segment) in [
            ("1234abcd-12ab", ArnSegment::Shape),
            ("alias/checkout", ArnSegment::Shape),
            ("arn:aws:kms:eu-west-1:111122223333:key/a:b", ArnSegment::Shape),
            ("ARN:aws:kms:eu-west-1:111122223333:key/a", ArnSegment::Shape),
            ("arn:azure:kms:eu-west-1:111122223333:key/a", ArnSegment::Partition),
            ("arn:aws-:kms:eu-west-1:111122223333:key/a", ArnSegment::Partition),
            ("arn:aws:s3:eu-west-1:111122223333:key/a", ArnSegment::Service),
            ("arn:aws:kms::111122223333:key/a", ArnSegment::Region),
            ("arn:aws:kms:euwest1:111122223333:key/a", ArnSegment::Region),
            ("arn:aws:kms:eu-1:111122223333:key/a", ArnSegment::Region),
            ("arn:aws:kms:eu-west-:111122223333:key/a", ArnSegment::Region),
            ("arn:aws:kms:eu-west-1:11112222333:key/a", ArnSegment::Account),
            ("arn:aws:kms:eu-west-1:11112222333x:key/a", ArnSegment::Account),
            ("arn:aws:kms:eu-west-1:111122223333:key/", ArnSegment::Resource),
            ("arn:aws:kms:eu-west-1:111122223333:alias/", ArnSegment::Resource),
            ("arn:aws:kms:eu-west-1:111122223333:grant/a", ArnSegment::Resource),
            ("arn:aws:kms:eu-west-1:111122223333:key/a\nb", ArnSegment::Resource),
        ] {
            assert_eq!(kms_arn(bad), Err(segment), "{bad}");
        }
    }
}
