//! Points in time: milliseconds since the Unix epoch, and the one text form receipts use.
//!
//! The text is RFC 3339 in UTC, always with three digits of milliseconds and `Z`: one point in time has one
//! text. Leap seconds do not exist here, as in POSIX time and in the NSM's `timestamp`.

use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
///
/// This is the unit of the `timestamp` in a Nitro document.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// The first millisecond of `seconds` after the epoch; `None` when it does not fit in 64 bits.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Option<Self> {
        match seconds.checked_mul(MILLIS_PER_SECOND) {
            Some(millis) => Some(Self(millis)),
            None => None,
        }
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / MILLIS_PER_SECOND
    }

    /// This point plus `millis`, or the last point 64 bits can hold.
    #[must_use]
    pub const fn saturating_add_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// This point minus `millis`, or the epoch.
    #[must_use]
    pub const fn saturating_sub_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// A date and time of day of the proleptic Gregorian calendar in UTC.
    ///
    /// `None` for a date that does not exist, a second of 60, and years outside 1970 to 9999.
    #[must_use]
    pub fn from_civil(year: u16, month: u8, day: u8, hour: u8, minute: u8, second: u8) -> Option<Self> {
        if !(FIRST_YEAR..=LAST_YEAR).contains(&year) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        if day == 0 || day > days_in_month(year, month)? {
            return None;
        }
        let mut days = days_before_year(u64::from(year));
        for earlier in 1..month {
            days += u64::from(days_in_month(year, earlier)?);
        }
        days += u64::from(day) - 1;
        let seconds = days * SECONDS_PER_DAY + u64::from(hour) * 3_600 + u64::from(minute) * 60 + u64::from(second);
        Self::from_secs(seconds)
    }

    /// The date and time of day in UTC as `2026-11-23T18:40:09.112Z`.
    ///
    /// Total: a year after 9999 is written with as many digits as it has; [`Self::parse_rfc3339_ms`] refuses it.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let civil = self.to_civil();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            civil.year,
            civil.month,
            civil.day,
            civil.hour,
            civil.minute,
            civil.second,
            self.0 % MILLIS_PER_SECOND
        )
    }

    /// Reads exactly the form that [`Self::to_rfc3339`] writes: 24 characters, upper case, milliseconds, UTC.
    ///
    /// `None` for anything else, an offset or another precision included.
    #[must_use]
    pub fn parse_rfc3339_ms(text: &str) -> Option<Self> {
        let bytes: &[u8; 24] = text.as_bytes().try_into().ok()?;
        let [y0, y1, y2, y3, b'-', mo0, mo1, b'-', d0, d1, b'T', rest @ ..] = bytes else { return None };
        let [h0, h1, b':', mi0, mi1, b':', s0, s1, b'.', f0, f1, f2, b'Z'] = rest else { return None };
        let year = digits(&[*y0, *y1, *y2, *y3])?;
        let seconds = Self::from_civil(
            year,
            two_digits(*mo0, *mo1)?,
            two_digits(*d0, *d1)?,
            two_digits(*h0, *h1)?,
            two_digits(*mi0, *mi1)?,
            two_digits(*s0, *s1)?,
        )?;
        let millis = digits(&[*f0, *f1, *f2])?;
        Some(seconds.saturating_add_millis(u64::from(millis)))
    }

    /// Splits into calendar fields; milliseconds are dropped.
    #[must_use]
    pub fn to_civil(self) -> Civil {
        let seconds = self.as_secs();
        let (days, rest) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
        // Howard Hinnant's civil_from_days, for days that are not negative: an era is 400 years that begin in March.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Civil {
            year: year_of_era + era * 400 + u64::from(month <= 2),
            month: small(month),
            day: small(day_of_year - (153 * month_from_march + 2) / 5 + 1),
            hour: small(rest / 3_600),
            minute: small(rest % 3_600 / 60),
            second: small(rest % 60),
        }
    }
}

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// A point in time as calendar fields, UTC.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Civil {
    /// Year, 1970 or later.
    pub year: u64,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

/// Days from the epoch to 1 January of `year`, which is at least 1970.
const fn days_before_year(year: u64) -> u64 {
    let complete = year - 1;
    // 719_162 days lie between 0001-01-01 and 1970-01-01.
    complete * 365 + complete / 4 - complete / 100 + complete / 400 - 719_162
}

/// Length of a month; `None` when there is no such month.
fn days_in_month(year: u16, month: u8) -> Option<u8> {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => Some(31),
        4 | 6 | 9 | 11 => Some(30),
        2 => Some(if leap { 29 } else { 28 }),
        _ => None,
    }
}

/// Decimal ASCII digits as a number; at most four, so it fits.
fn digits(ascii: &[u8]) -> Option<u16> {
    ascii.iter().try_fold(0_u16, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value.checked_mul(10)?.checked_add(u16::from(digit))
    })
}

/// Two decimal ASCII digits as a number.
fn two_digits(tens: u8, ones: u8) -> Option<u8> {
    u8::try_from(digits(&[tens, ones])?).ok()
}

/// A calendar field as a byte: the arithmetic above bounds it far below 255.
fn small(value: u64) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

const MILLIS_PER_SECOND: u64 = 1_000;
const SECONDS_PER_DAY: u64 = 86_400;
/// Nothing here is older than the epoch.
const FIRST_YEAR: u16 = 1970;
/// RFC 3339 has four digits for the year.
const LAST_YEAR: u16 = 9999;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each line is the output of GNU `date -u -d @SECONDS +%FT%TZ`.
    const KNOWN: &[(u64, &str)] = &[
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_399, "2000-02-28T23:59:59.000Z"),
        (951_782_400, "2000-02-29T00:00:00.000Z"),
        (951_868_800, "2000-03-01T00:00:00.000Z"),
        (1_572_269_285, "2019-10-28T13:28:05.000Z"),
        (1_709_164_800, "2024-02-29T00:00:00.000Z"),
        (1_767_472_867, "2026-01-03T20:41:07.000Z"),
        (1_798_761_599, "2026-12-31T23:59:59.000Z"),
        (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        (4_107_542_399, "2100-02-28T23:59:59.000Z"),
        (253_402_300_799, "9999-12-31T23:59:59.000Z"),
    ];

    #[test]
    fn agrees_with_gnu_date() {
        for (seconds, text) in KNOWN {
            let time = UnixMillis::from_secs(*seconds).unwrap();
            assert_eq!(time.to_rfc3339(), *text);
            assert_eq!(UnixMillis::parse_rfc3339_ms(text), Some(time));
        }
    }

    #[test]
    fn keeps_milliseconds() {
        let time = UnixMillis::parse_rfc3339_ms("2026-11-23T18:40:09.112Z").unwrap();
        assert_eq!(time.0, 1_795_459_209_112);
        assert_eq!(time.as_secs(), 1_795_459_209);
        assert_eq!(time.to_string(), "2026-11-23T18:40:09.112Z");
    }

    #[test]
    fn refuses_dates_that_do_not_exist() {
        for (year, month, day) in
            [(2026, 2, 29), (2100, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0), (2026, 1, 32)]
        {
            assert_eq!(UnixMillis::from_civil(year, month, day, 0, 0, 0), None, "{year}-{month}-{day}");
        }
        assert!(UnixMillis::from_civil(2000, 2, 29, 0, 0, 0).is_some());
        assert_eq!(UnixMillis::from_civil(1969, 12, 31, 23, 59, 59), None);
        assert_eq!(UnixMillis::from_civil(10_000, 1, 1, 0, 0, 0), None);
        assert_eq!(UnixMillis::from_civil(2026, 1, 1, 24, 0, 0), None);
        assert_eq!(UnixMillis::from_civil(2026, 1, 1, 0, 60, 0), None);
        assert_eq!(UnixMillis::from_civil(2026, 6, 30, 23, 59, 60), None);
    }

    #[test]
    fn refuses_every_other_text_form() {
        for text in [
            "",
            "2026-11-23T18:40:09Z",
            "2026-11-23T18:40:09.11Z",
            "2026-11-23T18:40:09.1120Z",
            "2026-11-23t18:40:09.112Z",
            "2026-11-23T18:40:09.112z",
            "2026-11-23 18:40:09.112Z",
            "2026-11-23T18:40:09.112+00:00",
            "+026-11-23T18:40:09.112Z",
            "2026-11-23T18:40:60.112Z",
            "2026-02-30T18:40:09.112Z",
            " 2026-11-23T18:40:09.112Z",
        ] {
            assert_eq!(UnixMillis::parse_rfc3339_ms(text), None, "{text}");
        }
    }

    #[test]
    fn writes_any_value() {
        assert_eq!(UnixMillis(u64::MAX).to_rfc3339(), "584556019-04-03T14:25:51.615Z");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn text_round_trips(millis in 0_u64..=253_402_300_799_999) {
            let time = UnixMillis(millis);
            prop_assert_eq!(UnixMillis::parse_rfc3339_ms(&time.to_rfc3339()), Some(time));
        }

        #[test]
        fn never_panics(text in "\\PC{0,30}", millis: u64) {
            let _ = UnixMillis::parse_rfc3339_ms(&text);
            let _ = UnixMillis(millis).to_rfc3339();
        }
    }
}
