//! Who did something, and when, as commits and tags say it.

/// A name with a time, as it stands in a commit or tag. Nothing in git checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name. UTF-8 unless the commit has an `encoding` header; may be empty.
    pub name: Vec<u8>,
    /// The email, without its angle brackets; may be empty.
    pub email: Vec<u8>,
    /// Seconds since 1970, never negative.
    pub seconds: i64,
    /// The person's zone, in minutes east of UTC.
    pub offset_minutes: i32,
}

impl Person {
    /// Reads `name <email> seconds zone` by the rules of git's `fsck_ident`.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let (name, rest) = split_at_byte(line, |byte| matches!(byte, b'<' | b'>'))?;
        // git writes the space also after an empty name
        let name = name.strip_suffix(b" ")?;
        let (email, rest) = split_at_byte(rest.strip_prefix(b"<")?, |byte| matches!(byte, b'<' | b'>'))?;
        let (seconds, zone) = split_at_byte(rest.strip_prefix(b"> ")?, |byte| byte == b' ')?;
        Some(Self {
            name: name.to_vec(),
            email: email.to_vec(),
            seconds: decimal(seconds)?,
            offset_minutes: zone_minutes(zone.strip_prefix(b" ")?)?,
        })
    }

    /// The time as unsigned seconds since 1970.
    pub fn unix_seconds(&self) -> u64 {
        // never negative, see `decimal`
        u64::try_from(self.seconds).unwrap_or(0)
    }
}

/// Digits without a sign or a leading zero.
fn decimal(digits: &[u8]) -> Option<i64> {
    if digits != b"0" && digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

/// `+hhmm` or `-hhmm`.
fn zone_minutes(zone: &[u8]) -> Option<i32> {
    let &[sign, digits @ ..] = <&[u8; 5]>::try_from(zone).ok()?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let [h1, h2, m1, m2] = digits.map(|digit| i32::from(digit.wrapping_sub(b'0')));
    let minutes = (h1 * 10 + h2) * 60 + m1 * 10 + m2;
    match sign {
        b'+' => Some(minutes),
        b'-' => Some(-minutes),
        _ => None,
    }
}

/// Splits before the first byte that `is_end` holds for.
fn split_at_byte(bytes: &[u8], is_end: impl Fn(u8) -> bool) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(bytes.iter().position(|&byte| is_end(byte))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_people_as_git_fsck_does() {
        let good = Person::parse(b" <> 0 -0000").unwrap();
        assert_eq!(good, Person { name: vec![], email: vec![], seconds: 0, offset_minutes: 0 });
        assert_eq!(Person::parse(b"A <a> 9223372036854775807 +1400").unwrap().seconds, i64::MAX);
        for bad in [
            "<a@b> 1 +0000",
            "A<a@b> 1 +0000",
            "A > <a@b> 1 +0000",
            "A <a<b> 1 +0000",
            "A <a@b 1 +0000",
            "A <a@b>1 +0000",
            "A <a@b>  1 +0000",
            "A <a@b> 01 +0000",
            "A <a@b> -1 +0000",
            "A <a@b> +1 +0000",
            "A <a@b>  +0000",
            "A <a@b> 9223372036854775808 +0000",
            "A <a@b> 1",
            "A <a@b> 1 0000",
            "A <a@b> 1 +000",
            "A <a@b> 1 +00000",
            "A <a@b> 1 +0:00",
            "A <a@b> 1 +0000 ",
            "A <a@b> 1 +0000\r",
        ] {
            assert_eq!(Person::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
