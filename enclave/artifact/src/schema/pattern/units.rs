//! Sets of UTF-16 code units, and the ones that JavaScript has names for.

use crate::number::is_js_space;

/// The last UTF-16 code unit.
pub(super) const LAST_UNIT: u32 = 0xffff;

/// Code units, both ends included.
pub(super) type Range = (u32, u32);

/// `\d`
pub(super) fn digits() -> Vec<Range> {
    vec![(0x30, 0x39)]
}

/// `\w`
pub(super) fn word() -> Vec<Range> {
    vec![(0x30, 0x39), (0x41, 0x5a), (0x5f, 0x5f), (0x61, 0x7a)]
}

/// `\s`
pub(super) fn space() -> Vec<Range> {
    let spaces = (0..=LAST_UNIT).filter(|unit| char::from_u32(*unit).is_some_and(is_js_space));
    merged(spaces.map(|unit| (unit, unit)).collect())
}

/// The same code units in ascending ranges that do not touch.
pub(super) fn merged(mut ranges: Vec<Range>) -> Vec<Range> {
    ranges.sort_unstable();
    let mut out: Vec<Range> = Vec::with_capacity(ranges.len());
    for (start, end) in ranges {
        match out.last_mut() {
            Some((_, last)) if start <= last.saturating_add(1) => *last = end.max(*last),
            _ => out.push((start, end)),
        }
    }
    out
}

/// All other code units.
pub(super) fn negated(ranges: Vec<Range>) -> Vec<Range> {
    let mut out = Vec::new();
    let mut next = 0;
    for (start, end) in merged(ranges) {
        if next < start {
            out.push((next, start.saturating_sub(1)));
        }
        next = end.saturating_add(1);
    }
    if next <= LAST_UNIT {
        out.push((next, LAST_UNIT));
    }
    out
}
