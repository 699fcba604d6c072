//! Conditions, judged without knowing the whole call: they hold, do not hold, or may.
//!
//! Source: IAM User Guide, "IAM JSON policy elements: Condition operators", "Multivalued context keys"; KMS Developer
//! Guide, "Condition keys for attested platforms".

use super::{
    document::Name,
    evaluate::{Call, Held},
};

/// Whether something holds for a call of which not everything is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Truth {
    No,
    Maybe,
    Yes,
}

impl Truth {
    pub(super) fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }
}

/// One condition of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) operator: Operator,
    /// The operator as written.
    pub(super) operator_text: String,
    pub(super) key: Key,
    /// The key as written.
    pub(super) key_text: String,
    /// Any of them may match; for a negated operator, none may.
    pub(super) values: Vec<String>,
}

/// A condition key. IAM's condition keys have no case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// `kms:RecipientAttestation:` with a register that exists.
    Register(Register),
    /// `kms:RecipientAttestation` with anything else: no call ever has it.
    NoRegister,
    /// `aws:PrincipalArn`.
    PrincipalArn,
    /// `aws:PrincipalAccount`, `kms:CallerAccount`.
    Account,
    /// `aws:SecureTransport`: KMS speaks TLS only.
    SecureTransport,
    /// Known to the caller alone.
    Other,
}

/// A measurement in an attestation document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Register {
    /// PCR of an enclave; `ImageSha384` is 0.
    Enclave(u8),
    /// PCR of an instance with NitroTPM.
    Tpm(u8),
}

/// One past the highest index of an enclave's registers (NSM API) and of a NitroTPM's.
const ENCLAVE_REGISTERS: u8 = 32;
const TPM_REGISTERS: u8 = 24;

impl Key {
    pub(super) fn parse(text: &str) -> Self {
        let lower = text.to_ascii_lowercase();
        if let Some(name) = lower.strip_prefix("kms:recipientattestation") {
            let number = |prefix: &str, count: u8| {
                (0..count).find(|index| name.strip_prefix(prefix) == Some(index.to_string().as_str()))
            };
            let enclave = if name == ":imagesha384" { Some(0) } else { number(":pcr", ENCLAVE_REGISTERS) };
            let tpm = number(":nitrotpmpcr", TPM_REGISTERS);
            return match (enclave, tpm) {
                (Some(index), _) => Self::Register(Register::Enclave(index)),
                (None, Some(index)) => Self::Register(Register::Tpm(index)),
                (None, None) => Self::NoRegister,
            };
        }
        match lower.as_str() {
            "aws:principalarn" => Self::PrincipalArn,
            "aws:principalaccount" | "kms:calleraccount" => Self::Account,
            "aws:securetransport" => Self::SecureTransport,
            _ => Self::Other,
        }
    }
}

/// A condition operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) set: Option<Set>,
    pub(super) test: Test,
    pub(super) if_exists: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    ForAllValues,
    ForAnyValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Text {
        negated: bool,
        compare: Compare,
    },
    Bool,
    Null,
    /// Numbers, dates, addresses, bytes: not judged.
    NotText,
    /// No operator of IAM.
    Unknown,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compare {
    Exact,
    IgnoreCase,
    Pattern,
    /// A pattern of which each wild card stays within its part of the ARN.
    Arn,
}

impl Operator {
    pub(super) fn parse(text: &str) -> Self {
        let (set, name) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Set::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(Set::ForAnyValue), rest),
            _ => (None, text),
        };
        let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |rest| (rest, true));
        let words = |negated, compare| Test::Text { negated, compare };
        let test = match name {
            "StringEquals" => words(false, Compare::Exact),
            "StringNotEquals" => words(true, Compare::Exact),
            "StringEqualsIgnoreCase" => words(false, Compare::IgnoreCase),
            "StringNotEqualsIgnoreCase" => words(true, Compare::IgnoreCase),
            "StringLike" => words(false, Compare::Pattern),
            "StringNotLike" => words(true, Compare::Pattern),
            "ArnLike" | "ArnEquals" => words(false, Compare::Arn),
            "ArnNotLike" | "ArnNotEquals" => words(true, Compare::Arn),
            "Bool" => Test::Bool,
            "Null" if !if_exists => Test::Null,
            "BinaryEquals" | "IpAddress" | "NotIpAddress" => Test::NotText,
            _ if name.starts_with("Numeric") || name.starts_with("Date") => Test::NotText,
            _ => Test::Unknown,
        };
        Self { set, test, if_exists }
    }

    pub(super) fn is_negated(self) -> bool {
        matches!(self.test, Test::Text { negated: true, .. })
    }
}

impl Condition {
    /// The register this is about.
    pub(super) fn register(&self) -> Option<Register> {
        if let Key::Register(register) = self.key { Some(register) } else { None }
    }

    /// Whether this is about an attestation document at all.
    pub(super) fn is_attestation(&self) -> bool {
        matches!(self.key, Key::Register(_) | Key::NoRegister)
    }

    /// Whether it holds for `call`.
    pub(super) fn holds(&self, call: &Call<'_>) -> Truth {
        let text = |text: &str| Held::Value(text.to_owned());
        let found = match self.key {
            Key::Register(register) => call.attestation.value(register),
            Key::NoRegister => None,
            Key::PrincipalArn => call.caller.principal_arn.as_deref().map(text),
            Key::Account => call.caller.account.as_deref().map(text),
            Key::SecureTransport => Some(text("true")),
            Key::Other => return Truth::Maybe,
        };
        let Operator { set, test, if_exists } = self.operator;
        if test == Test::Null {
            let absent = if found.is_none() { "true" } else { "false" };
            return self.values.iter().any(|value| value.eq_ignore_ascii_case(absent)).into();
        }
        let Some(found) = found else {
            return match (set, test) {
                (_, Test::Unknown) => Truth::Maybe,
                _ if if_exists => Truth::Yes,
                // IAM: ForAllValues holds when the key is absent, ForAnyValue does not, whatever the operator.
                (Some(Set::ForAllValues), _) => Truth::Yes,
                (Some(Set::ForAnyValue), _) => Truth::No,
                (None, Test::NotText) => Truth::Maybe,
                (None, _) => self.operator.is_negated().into(),
            };
        };
        let found = match found {
            Held::Value(found) => found,
            Held::Fresh => return self.holds_for_fresh(),
            Held::Any => return Truth::Maybe,
        };
        if self.is_undecided(call) {
            return Truth::Maybe;
        }
        let any = |alike: &dyn Fn(&str) -> Truth| self.values.iter().map(|value| alike(value)).max();
        let alike = match test {
            Test::Text { compare: Compare::Exact, .. } => any(&|value| (value == found).into()),
            Test::Text { compare: Compare::IgnoreCase, .. } => {
                any(&|value| (value.to_lowercase() == found.to_lowercase()).into())
            }
            Test::Text { compare: Compare::Pattern, .. } => any(&|value| matches(value, &found).into()),
            Test::Text { compare: Compare::Arn, .. } => any(&|value| matches_arn(value, &found)),
            Test::Bool => any(&|value| value.eq_ignore_ascii_case(&found).into()),
            Test::Null | Test::NotText | Test::Unknown => return Truth::Maybe,
        };
        let alike = alike.unwrap_or(Truth::Maybe);
        if self.operator.is_negated() { alike.not() } else { alike }
    }

    /// Whether the values cannot be compared: none (which IAM should not have taken), a variable that IAM fills in from
    /// what only the caller knows, or a pattern for principals of which somebody may have one.
    fn is_undecided(&self, call: &Call<'_>) -> bool {
        let somebody = matches!(call.caller.name, Name::Anybody | Name::Account(_));
        let open = |value: &String| {
            value.contains("${")
                || self.key == Key::PrincipalArn && somebody && is_pattern(value) && !value.starts_with("arn:")
        };
        self.values.is_empty() || self.values.iter().any(open)
    }
}

impl Condition {
    /// The same for a measurement that equals no value: only a pattern can catch it.
    fn holds_for_fresh(&self) -> Truth {
        match self.operator.test {
            _ if self.values.is_empty() || self.values.iter().any(|value| value.contains("${")) => Truth::Maybe,
            Test::Text { compare: Compare::Pattern | Compare::Arn, negated } => {
                let everything = self.values.iter().any(|value| !value.is_empty() && value.bytes().all(|b| b == b'*'));
                match everything {
                    true => (!negated).into(),
                    false if self.values.iter().any(|value| is_pattern(value)) => Truth::Maybe,
                    false => negated.into(),
                }
            }
            Test::Text { negated, .. } => negated.into(),
            Test::Bool => Truth::No,
            Test::Null | Test::NotText | Test::Unknown => Truth::Maybe,
        }
    }
}

/// Whether `text` matches a pattern in which `*` stands for any text and `?` for one character. Bounded by the product
/// of the lengths: there is one step back, to the last `*`.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut last_star: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let here = text.clone();
        match (pattern.next(), text.next()) {
            (Some('*'), _) => {
                text = here;
                last_star = Some((pattern.clone(), text.clone()));
            }
            (None, None) => return true,
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            _ => {
                let Some((after, from)) = &mut last_star else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = after.clone();
                text = from.clone();
            }
        }
    }
}

/// The same for an ARN, whose six parts match one by one. What would match only with a wild card across parts, or where
/// the pattern has not all six, is left open.
pub(super) fn matches_arn(pattern: &str, arn: &str) -> Truth {
    let parts = |text: &str| text.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
    let (patterns, found) = (parts(pattern), parts(arn));
    let by_part = patterns.len() == found.len() && patterns.iter().zip(&found).all(|(p, f)| matches(p, f));
    match (by_part, matches(pattern, arn)) {
        (true, _) => Truth::Yes,
        (false, true) => Truth::Maybe,
        (false, false) if patterns.len() < found.len() && pattern.starts_with("arn:") => Truth::Maybe,
        (false, false) => Truth::No,
    }
}

/// Whether a text is a pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// One text that matches `pattern`, `*` filled so that it has `length` characters where that is possible.
pub(super) fn example(pattern: &str, filler: char, length: usize) -> String {
    let fixed = pattern.chars().filter(|c| *c != '*').count();
    let mut missing = length.saturating_sub(fixed);
    let mut text = String::new();
    for c in pattern.chars() {
        match c {
            '*' => {
                text.extend(std::iter::repeat_n(filler, missing));
                missing = 0;
            }
            '?' => text.push(filler),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_known_in_any_case_and_no_others() {
        for (text, key) in [
            ("kms:RecipientAttestation:ImageSha384", Key::Register(Register::Enclave(0))),
            ("KMS:recipientattestation:pcr31", Key::Register(Register::Enclave(31))),
            ("kms:RecipientAttestation:NitroTPMPCR4", Key::Register(Register::Tpm(4))),
            ("kms:RecipientAttestation:PCR32", Key::NoRegister),
            ("kms:RecipientAttestation:PCR00", Key::NoRegister),
            ("kms:RecipientAttestation", Key::NoRegister),
            ("aws:PrincipalARN", Key::PrincipalArn),
            ("kms:ViaService", Key::Other),
        ] {
            assert_eq!(Key::parse(text), key, "{text}");
        }
    }

    #[test]
    fn a_wild_card_across_the_parts_of_an_arn_is_left_open() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/a:b";
        for (pattern, expected) in [
            ("arn:aws:kms:*:111122223333:key/*", Truth::Yes),
            (arn, Truth::Yes),
            ("arn:aws:kms:*:key/a:b", Truth::Maybe),
            ("arn:aws:kms", Truth::Maybe),
            ("*", Truth::Maybe),
            ("arn:aws:kms:*:111122223333:key/c*", Truth::No),
            ("key/a:b", Truth::No),
        ] {
            assert_eq!(matches_arn(pattern, arn), expected, "{pattern}");
        }
    }

    #[test]
    fn patterns_match_as_in_iam() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "a:b", true),
            ("?", "", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*c", "abcd", false),
            ("abc", "ABC", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
        assert_eq!(example("ab*?", 'f', 6), "abffff");
        assert!(matches("ab*c*?", &example("ab*c*?", 'f', 96)));
    }
}
