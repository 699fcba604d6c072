//! A schema's patterns: JavaScript regular expressions, the part of them that has one meaning.
//!
//! A pattern is read here, character by character, and written anew for the engine, every literal as a code and every
//! class as its ranges: the engine's own syntax gives no text of a schema a meaning. What is accepted:
//!
//! - characters of the Basic Multilingual Plane, `.`, `^`, `$`, `|`, `(…)`, `(?:…)`
//! - `*`, `+`, `?`, `{n}`, `{n,}`, `{n,m}`, each also with `?` behind it (greed does not change whether there is a match)
//! - `[…]` and `[^…]` with characters, ranges, escapes
//! - `\d \D \w \W \s \S`, `\t \n \v \f \r \0`, `\xHH`, `\uHHHH`, a backslash before ASCII punctuation or space
//!
//! Everything else is refused and named by [`Construct`]: what a regular language cannot do (lookaround,
//! backreferences), what this reader leaves out (named groups, `\b`, `\c`), and what JavaScript itself accepts only for
//! the sake of old pages (a stray `{` or `]`, octal escapes).
//!
//! JavaScript matches without the flag `u`, so over UTF-16 code units: `^.$` does not match an emoji. Here a value is
//! matched the same way, its surrogates as characters of plane 16, which no code unit is.
//!
//! Source: ECMA-262, 22.2 and B.1.2; agrees with `tests/data/schema.jsonl`, made by Node.

mod units;

use std::fmt::{self, Write};

use regex_lite::{Regex, RegexBuilder};
use zeroize::Zeroizing;

use units::{LAST_UNIT, Range, digits, merged, negated, space, word};

/// Longest pattern, in bytes. Ours.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// Deepest nesting of groups. Ours; far below the engine's 50.
pub const MAX_PATTERN_DEPTH: usize = 16;

/// Most steps of a pattern, counted repetitions written out. Ours: matching takes time in proportion to steps times the
/// value's length.
pub const MAX_PATTERN_STEPS: usize = 4096;

/// Most bytes the engine may use for one pattern; [`MAX_PATTERN_STEPS`] stays below it.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// How deep the engine may nest what it makes of [`MAX_PATTERN_DEPTH`]: alternation, sequence, repetition and group each.
const ENGINE_DEPTH: u32 = 128;

/// What moves a surrogate into plane 16.
const SURROGATE_OFFSET: u32 = 0x10_0000;

/// What a pattern has that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Construct {
    /// `(?=…)`, `(?!…)`, `(?<=…)`, `(?<!…)`.
    Lookaround,
    /// `(?<name>…)`.
    NamedGroup,
    /// `(?…` of any other kind.
    GroupFlags,
    /// `\1` to `\9`, `\0` before a digit, `\k`.
    Backreference,
    /// A backslash before a letter without an accepted meaning (`\b`, `\p`, `\c`), a digit of a wrong `\x` or `\u`, or a
    /// character that is not ASCII.
    Escape,
    /// `{` or `}` that is no `{n}`, `{n,}` or `{n,m}`.
    Brace,
    /// `]` without `[`.
    Bracket,
    /// `-` beside a class escape or behind a range.
    Hyphen,
    /// A class that matches nothing, such as `[]`.
    EmptyClass,
    /// A range whose end is before its start.
    RangeOrder,
    /// `{n,m}` with m below n, or a number above 1000.
    Count,
    /// A quantifier with nothing in front, or behind `^`, `$` or another quantifier.
    NothingToRepeat,
    /// A group or class that does not end, or ends without a start; a backslash at the end.
    Unbalanced,
    /// A character beyond the Basic Multilingual Plane, or an escaped surrogate.
    BeyondBmp,
}

/// Why a pattern is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatternError {
    Unsupported(Construct),
    TooLarge,
}

/// A pattern, ready to match.
pub(super) struct Pattern {
    regex: Regex,
    pub(super) steps: usize,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > MAX_PATTERN_BYTES {
            return Err(PatternError::TooLarge);
        }
        let mut translation = Translation::new(text);
        translation.run()?;
        let (out, steps) = translation.finish()?;
        // Syntax cannot fail: it was written here.
        let engine = RegexBuilder::new(&out).size_limit(MAX_COMPILED_BYTES).nest_limit(ENGINE_DEPTH).build();
        let regex = engine.map_err(|_| PatternError::TooLarge)?;
        Ok(Self { regex, steps })
    }

    /// JavaScript's `new RegExp(pattern).test(value)`.
    pub(super) fn is_match(&self, value: &str) -> bool {
        if value.chars().all(|c| u32::from(c) <= LAST_UNIT) {
            return self.regex.is_match(value);
        }
        // Four bytes become eight at most, so the buffer never moves and leaves no copy.
        let mut units = Zeroizing::new(String::with_capacity(value.len().saturating_mul(2)));
        let mut buffer = Zeroizing::new([0_u16; 2]);
        for c in value.chars() {
            for unit in c.encode_utf16(buffer.as_mut_slice()) {
                units.extend(unit_char(u32::from(*unit)));
            }
        }
        self.regex.is_match(&units)
    }
}

/// The character that stands for a code unit.
fn unit_char(unit: u32) -> Option<char> {
    let surrogate = (0xd800..0xe000).contains(&unit);
    char::from_u32(if surrogate { unit.saturating_add(SURROGATE_OFFSET) } else { unit })
}

/// A pattern on its way into the engine's syntax.
struct Translation<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    out: String,
    /// Groups that are open, the whole pattern first.
    open: Vec<Group>,
}

/// Steps of a group so far.
#[derive(Default)]
struct Group {
    done: usize,
    /// The last atom, when a quantifier may follow it.
    last: Option<usize>,
}

impl<'a> Translation<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable(), out: String::new(), open: vec![Group::default()] }
    }

    fn run(&mut self) -> Result<(), PatternError> {
        while let Some(c) = self.rest.next() {
            match c {
                '(' => self.open_group()?,
                ')' => self.close_group()?,
                '|' => self.put("|", None)?,
                '^' => self.put("^", None)?,
                '$' => self.put("$", None)?,
                '.' => self.class(negated(vec![(0x0a, 0x0a), (0x0d, 0x0d), (0x2028, 0x2029)]))?,
                '[' => {
                    let ranges = self.class_ranges()?;
                    self.class(ranges)?;
                }
                '*' | '+' | '?' => {
                    self.out.push(c);
                    self.quantify(2)?;
                }
                '{' => self.count()?,
                '}' => return unsupported(Construct::Brace),
                ']' => return unsupported(Construct::Bracket),
                '\\' => {
                    let escaped = self.escape()?;
                    self.class(escaped.ranges())?;
                }
                c => {
                    let unit = bmp(c)?;
                    self.class(vec![(unit, unit)])?;
                }
            }
        }
        Ok(())
    }

    /// The pattern for the engine, and its steps.
    fn finish(mut self) -> Result<(String, usize), PatternError> {
        match self.open.pop() {
            Some(whole) if self.open.is_empty() => {
                Ok((self.out, within_limit(whole.done.saturating_add(whole.last.unwrap_or(0)))?))
            }
            _ => unsupported(Construct::Unbalanced),
        }
    }

    /// Writes what the engine shall read; `steps` when a quantifier may follow.
    fn put(&mut self, text: &str, steps: Option<usize>) -> Result<(), PatternError> {
        self.out.push_str(text);
        let Some(group) = self.open.last_mut() else { return unsupported(Construct::Unbalanced) };
        let before = group.last.take().unwrap_or(0);
        group.done = within_limit(group.done.saturating_add(before).saturating_add(usize::from(steps.is_none())))?;
        group.last = steps;
        Ok(())
    }

    /// Any one of these code units.
    fn class(&mut self, ranges: Vec<Range>) -> Result<(), PatternError> {
        let ranges = merged(ranges);
        if ranges.is_empty() {
            return unsupported(Construct::EmptyClass);
        }
        let mut text = String::from("[");
        for (start, end) in &ranges {
            // Below, among and above the surrogates.
            for (from, to) in [(0, 0xd7ff), (0xd800, 0xdfff), (0xe000, LAST_UNIT)] {
                let (start, end) = ((*start).max(from), (*end).min(to));
                if start <= end {
                    let offset = if from == 0xd800 { SURROGATE_OFFSET } else { 0 };
                    let (start, end) = (start.saturating_add(offset), end.saturating_add(offset));
                    let _infallible = write!(text, "\\x{{{start:X}}}-\\x{{{end:X}}}");
                }
            }
        }
        text.push(']');
        self.put(&text, Some(ranges.len()))
    }

    fn open_group(&mut self) -> Result<(), PatternError> {
        if self.rest.next_if_eq(&'?').is_some() {
            match self.rest.next() {
                Some(':') => {}
                Some('=' | '!') => return unsupported(Construct::Lookaround),
                Some('<') => {
                    let lookbehind = matches!(self.rest.next(), Some('=' | '!'));
                    return unsupported(if lookbehind { Construct::Lookaround } else { Construct::NamedGroup });
                }
                _ => return unsupported(Construct::GroupFlags),
            }
        }
        // The whole pattern counts as one.
        if self.open.len() > MAX_PATTERN_DEPTH {
            return Err(PatternError::TooLarge);
        }
        self.out.push_str("(?:");
        self.open.push(Group::default());
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), PatternError> {
        let closed = self.open.pop().filter(|_| !self.open.is_empty());
        let Some(group) = closed else { return unsupported(Construct::Unbalanced) };
        let steps = group.done.saturating_add(group.last.unwrap_or(0)).saturating_add(1);
        self.put(")", Some(steps))
    }

    /// A quantifier was written: the last atom counts this many times.
    fn quantify(&mut self, times: usize) -> Result<(), PatternError> {
        // Lazy or not, there is a match or there is none.
        self.rest.next_if_eq(&'?');
        let group = self.open.last_mut();
        let Some((group, last)) = group.and_then(|group| group.last.take().map(|last| (group, last))) else {
            return unsupported(Construct::NothingToRepeat);
        };
        let steps = last.saturating_add(1).saturating_mul(times);
        group.done = within_limit(group.done.saturating_add(steps))?;
        Ok(())
    }

    /// `{n}`, `{n,}` or `{n,m}`, behind its brace.
    fn count(&mut self) -> Result<(), PatternError> {
        let Some(low) = self.number()? else { return unsupported(Construct::Brace) };
        let mut high = Some(low);
        if self.rest.next_if_eq(&',').is_some() {
            high = self.number()?;
        }
        if self.rest.next() != Some('}') {
            return unsupported(Construct::Brace);
        }
        let _infallible = match high {
            Some(high) if high < low => return unsupported(Construct::Count),
            Some(high) => write!(self.out, "{{{low},{high}}}"),
            None => write!(self.out, "{{{low},}}"),
        };
        self.quantify(high.unwrap_or(low.saturating_add(1)).max(1))
    }

    /// Decimal digits, if there are any.
    fn number(&mut self) -> Result<Option<usize>, PatternError> {
        let mut number = None;
        while let Some(digit) = self.rest.next_if(char::is_ascii_digit) {
            let value =
                number.unwrap_or(0_usize) * 10 + digit.to_digit(10).and_then(|d| d.try_into().ok()).unwrap_or(0);
            if value > 1000 {
                return unsupported(Construct::Count);
            }
            number = Some(value);
        }
        Ok(number)
    }

    /// The code units of a class, behind its `[`.
    fn class_ranges(&mut self) -> Result<Vec<Range>, PatternError> {
        let negate = self.rest.next_if_eq(&'^').is_some();
        let mut ranges = Vec::new();
        // Whether a hyphen is itself: at the start, and at the end (seen below).
        let mut first = true;
        loop {
            let item = match self.class_item()? {
                None => break,
                Some(Item::Hyphen) if first || self.rest.peek() == Some(&']') => Item::Unit(u32::from('-')),
                Some(Item::Hyphen) => return unsupported(Construct::Hyphen),
                Some(item) => item,
            };
            first = false;
            // A hyphen that is not the last character makes a range.
            let mut ahead = self.rest.clone();
            let is_range = ahead.next() == Some('-') && ahead.next() != Some(']');
            match item {
                Item::Unit(start) if is_range => {
                    self.rest.next();
                    match self.class_item()? {
                        Some(Item::Unit(end)) if start <= end => ranges.push((start, end)),
                        Some(Item::Unit(_)) => return unsupported(Construct::RangeOrder),
                        Some(Item::Hyphen | Item::Set(_)) => return unsupported(Construct::Hyphen),
                        None => return unsupported(Construct::Unbalanced),
                    }
                }
                Item::Set(_) if is_range => return unsupported(Construct::Hyphen),
                item => ranges.extend(item.ranges()),
            }
        }
        Ok(if negate { negated(ranges) } else { ranges })
    }

    /// The next item of a class; `None` when its `]` was read.
    fn class_item(&mut self) -> Result<Option<Item>, PatternError> {
        match self.rest.next() {
            None => unsupported(Construct::Unbalanced),
            Some(']') => Ok(None),
            Some('-') => Ok(Some(Item::Hyphen)),
            Some('\\') => self.escape().map(Some),
            Some(c) => Ok(Some(Item::Unit(bmp(c)?))),
        }
    }

    /// An escape, behind its backslash.
    fn escape(&mut self) -> Result<Item, PatternError> {
        let Some(c) = self.rest.next() else { return unsupported(Construct::Unbalanced) };
        Ok(match c {
            'd' => Item::Set(digits()),
            'D' => Item::Set(negated(digits())),
            'w' => Item::Set(word()),
            'W' => Item::Set(negated(word())),
            's' => Item::Set(space()),
            'S' => Item::Set(negated(space())),
            't' => Item::Unit(0x09),
            'n' => Item::Unit(0x0a),
            'v' => Item::Unit(0x0b),
            'f' => Item::Unit(0x0c),
            'r' => Item::Unit(0x0d),
            '0' if !self.rest.peek().is_some_and(char::is_ascii_digit) => Item::Unit(0),
            '0'..='9' | 'k' => return unsupported(Construct::Backreference),
            'x' => Item::Unit(self.hex(2)?),
            'u' => Item::Unit(self.hex(4)?),
            c if c.is_ascii_punctuation() || c == ' ' => Item::Unit(u32::from(c)),
            _ => return unsupported(Construct::Escape),
        })
    }

    fn hex(&mut self, count: usize) -> Result<u32, PatternError> {
        let mut unit = 0_u32;
        for _ in 0..count {
            let Some(digit) = self.rest.next().and_then(|c| c.to_digit(16)) else {
                return unsupported(Construct::Escape);
            };
            unit = unit << 4 | digit;
        }
        if (0xd800..0xe000).contains(&unit) { unsupported(Construct::BeyondBmp) } else { Ok(unit) }
    }
}

/// What a class, or an escape, may have.
enum Item {
    Unit(u32),
    Set(Vec<Range>),
    /// An unescaped `-`.
    Hyphen,
}

impl Item {
    fn ranges(self) -> Vec<Range> {
        match self {
            Self::Unit(unit) => vec![(unit, unit)],
            Self::Set(ranges) => ranges,
            Self::Hyphen => vec![(0x2d, 0x2d)],
        }
    }
}

fn unsupported<T>(construct: Construct) -> Result<T, PatternError> {
    Err(PatternError::Unsupported(construct))
}

fn within_limit(steps: usize) -> Result<usize, PatternError> {
    if steps > MAX_PATTERN_STEPS { Err(PatternError::TooLarge) } else { Ok(steps) }
}

fn bmp(c: char) -> Result<u32, PatternError> {
    let unit = u32::from(c);
    if unit > LAST_UNIT { unsupported(Construct::BeyondBmp) } else { Ok(unit) }
}

impl fmt::Display for Construct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lookaround => "lookahead or lookbehind; state the condition as a second key or a longer pattern",
            Self::NamedGroup => "a named group; use (?:…)",
            Self::GroupFlags => "a group with flags; use (?:…)",
            Self::Backreference => "a backreference or an octal escape; write the characters out, or use \\xHH",
            Self::Escape => {
                "a backslash whose meaning is not supported; \\d \\D \\w \\W \\s \\S \\t \\n \\v \\f \\r \\0 \
                 \\xHH \\uHHHH and escaped punctuation are"
            }
            Self::Brace => "a brace that is no repetition; write \\{ or \\}",
            Self::Bracket => "a ] without [; write \\]",
            Self::Hyphen => "a hyphen in a class that may be a range or not; write \\-",
            Self::EmptyClass => "a class that matches nothing",
            Self::RangeOrder => "a range whose end is before its start",
            Self::Count => "a repetition whose second number is below the first, or a number above 1000",
            Self::NothingToRepeat => "a repetition of nothing; put it behind a character, class or group",
            Self::Unbalanced => "a group, class or escape that does not end, or ends without a start",
            Self::BeyondBmp => "a character beyond U+FFFF, which JavaScript matches as two",
        })
    }
}

#[cfg(test)]
mod tests;
