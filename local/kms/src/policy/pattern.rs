//! `*` and `?`, as IAM matches them.

/// A text in which `*` stands for any number of characters and `?` for exactly one.
#[derive(Debug, Clone)]
pub(super) struct Pattern(String);

/// An ARN has six parts; the last may hold colons of its own.
const ARN_PARTS: usize = 6;

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether all of `text` matches.
    pub(super) fn matches(&self, text: &str) -> bool {
        wild(&self.0, text)
    }

    /// As [`Pattern::matches`], for action names, which have no case.
    pub(super) fn matches_ignoring_case(&self, text: &str) -> bool {
        wild(&self.0.to_lowercase(), &text.to_lowercase())
    }

    /// As [`Pattern::matches`] for a resource: a wild card stays within its part of the ARN. A lone `*` is any ARN.
    pub(super) fn matches_arn(&self, arn: &str) -> bool {
        if self.0 == "*" {
            return true;
        }
        let patterns: Vec<&str> = self.0.splitn(ARN_PARTS, ':').collect();
        let parts: Vec<&str> = arn.splitn(ARN_PARTS, ':').collect();
        patterns.len() == parts.len() && patterns.iter().zip(&parts).all(|(pattern, part)| wild(pattern, part))
    }

    /// Whether this can match an ARN at all: a lone `*`, or `arn` and six parts.
    pub(super) fn is_resource(&self) -> bool {
        self.0 == "*" || (self.0.starts_with("arn:") && self.0.splitn(ARN_PARTS, ':').count() == ARN_PARTS)
    }
}

/// Matches with one step back per `*` (the last one), so the work is bounded by the product of the lengths.
fn wild(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // After a `*`: the pattern behind it, and the text from which it is tried next.
    let mut retry: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        let before_text = text.clone();
        match (pattern.next(), text.next()) {
            (Some('*'), _) => {
                text = before_text;
                retry = Some((pattern.clone(), text.clone()));
            }
            (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {}
            _ => {
                let Some((behind, from)) = &mut retry else { return false };
                if from.next().is_none() {
                    return false;
                }
                pattern = behind.clone();
                text = from.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wild_cards_match_as_in_iam() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("*", "a:b/c", true),
            ("?", "", false),
            ("?", "é", true),
            ("a*c", "abbbc", true),
            ("a*c", "abbbcd", false),
            ("a*b*c", "a-b-b-c", true),
            ("a**c", "ac", true),
            ("a?c", "ac", false),
            ("abc", "ABC", false),
            ("*x", "aaax", true),
            ("*x", "aaay", false),
            ("x*", "yx", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches(text), expected, "{pattern} {text}");
        }
        assert!(Pattern::new("KMS:decr*").matches_ignoring_case("kms:Decrypt"));
    }

    #[test]
    fn many_stars_do_not_explode() {
        let pattern = Pattern::new(&"*a".repeat(500));
        assert!(!pattern.matches(&"a".repeat(499)));
        assert!(!pattern.matches(&("a".repeat(3000) + "b")));
        assert!(pattern.matches(&"a".repeat(500)));
    }

    #[test]
    fn a_wild_card_stays_within_its_part_of_an_arn() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/12:34";
        for (pattern, expected) in [
            ("*", true),
            ("arn:aws:kms:*:111122223333:key/*", true),
            ("arn:aws:kms:*:*:*", true),
            ("arn:aws:kms:*:key/12:34:x", false),
            ("arn:*", false),
            ("arn:aws:kms:eu-west-1:111122223333:key/12:3?", true),
            ("arn:aws:kms:eu-west-2:111122223333:key/*", false),
        ] {
            assert_eq!(Pattern::new(pattern).matches_arn(arn), expected, "{pattern}");
        }
        assert!(Pattern::new("*").is_resource() && Pattern::new("arn:aws:kms:*:*:key/*").is_resource());
        assert!(!Pattern::new("key/*").is_resource() && !Pattern::new("arn:*").is_resource());
    }
}
