//! Writes one file in clear.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::random::Random;
use super::words::{
    COMMENTS, FLOATS, HUGE, INTEGERS, MULTI_LINE, NOT_UTF8, QUOTED, STRINGS, TAGGED, TIMES, TOO_HUGE, UNICODE,
};

/// Writes one file in clear.
pub(crate) struct Writer<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) out: String,
    pub(crate) features: &'a mut BTreeSet<&'static str>,
}

impl Writer<'_> {
    fn scalar(&mut self) -> String {
        let (feature, from) = match self.random.below(43) {
            0..6 => ("string", STRINGS),
            6..10 => ("integer", INTEGERS),
            10..12 => ("huge integer", HUGE),
            12..16 => ("float", FLOATS),
            16 => ("non-finite float", &[".inf", "-.inf", ".nan"][..]),
            17..20 => ("boolean", &["true", "False", "TRUE"][..]),
            20..22 => ("null", &["null", "~", ""][..]),
            22..24 => ("time", TIMES),
            24..27 => ("unicode", UNICODE),
            27..31 => ("multi-line string", MULTI_LINE),
            31..33 => ("empty string", &["\"\"", "''"][..]),
            33 if self.random.below(8) == 0 => ("huge integer", TOO_HUGE),
            40..42 => ("tagged scalar", TAGGED),
            42 if self.random.below(4) == 0 => ("text that is not UTF-8", NOT_UTF8),
            _ => {
                self.features.insert("string");
                return format!("\"{}{}\"", self.random.pick(QUOTED), self.random.pick(QUOTED));
            }
        };
        self.features.insert(feature);
        self.random.pick(from).to_owned()
    }

    fn key(&mut self, i: usize) -> String {
        let suffix = self.random.pick(&["", "", "", "_unencrypted", "_enc"]);
        match self.random.below(16) {
            0 => format!("\"{}{i}{suffix}\"", self.random.pick(QUOTED)),
            1 => format!("é{i}"),
            2 => format!("db.Secret{i}"),
            3 => format!("token{i}{suffix}"),
            4 => {
                self.features.insert("unusual key");
                match self.random.below(4) {
                    0 if i == 0 => "\"\"".to_owned(),
                    1 => format!("\"two\\nlines{i}{suffix}\""),
                    // sops writes it as `? key`, on a line of its own.
                    2 => format!("{}{i}{suffix}", "long".repeat(33)),
                    _ => format!("\" {i}: # \\t{suffix}\""),
                }
            }
            _ => format!("k{i}{suffix}"),
        }
    }

    fn comment(&mut self, pad: &str, feature: &'static str) {
        self.features.insert(feature);
        writeln!(self.out, "{pad}#{}", self.random.pick(COMMENTS)).unwrap();
    }

    pub(crate) fn map(&mut self, indent: usize) {
        let pad = " ".repeat(indent);
        let mut merged = false;
        for i in 0..1 + self.random.below(5) {
            for _ in 0..3_usize.saturating_sub(self.random.below(12)) {
                self.comment(&pad, "comment in a map");
                if self.random.below(6) == 0 {
                    self.out.push('\n');
                }
            }
            let key = self.key(i);
            match self.random.below(20) {
                0..4 if indent < 6 => {
                    self.features.insert("nested map");
                    writeln!(self.out, "{pad}{key}:").unwrap();
                    self.map(indent + 2);
                }
                4..7 => {
                    self.features.insert("list");
                    writeln!(self.out, "{pad}{key}:").unwrap();
                    self.list(&pad, indent);
                }
                7 => {
                    self.features.insert("empty map or list");
                    writeln!(self.out, "{pad}{key}: {}", self.random.pick(&["{}", "[]"])).unwrap();
                }
                8 => {
                    self.features.insert("nested list");
                    writeln!(self.out, "{pad}{key}: {}", self.random.pick(&["[1, a, [b]]", "{x: 1, y: [2.5]}"]))
                        .unwrap();
                }
                9 => {
                    self.features.insert("multi-line string");
                    let (style, chomp) = (self.random.pick(&["|", "|", ">"]), self.random.pick(&["", "-", "+"]));
                    if style == ">" {
                        self.features.insert("folded string");
                    }
                    writeln!(self.out, "{pad}{key}: {style}{chomp}\n{pad}  first\n\n{pad}    second # no comment\n")
                        .unwrap();
                }
                10 => {
                    self.features.insert("anchor and alias");
                    let value = match self.random.below(2) {
                        0 => self.scalar(),
                        _ => "{p: 1, q: [x]}".to_owned(),
                    };
                    writeln!(self.out, "{pad}{key}: &a{i} {value}\n{pad}alias{i}: *a{i}").unwrap();
                }
                11 => {
                    self.features.insert("merge");
                    writeln!(self.out, "{pad}{key}: &m{i} {{p: 1, q_enc: two}}").unwrap();
                    match self.random.below(3) {
                        0 if !merged => {
                            merged = true;
                            let merge = self.random.pick(&["*m", "[*m", "[{s: x, t: [1]}, *m"]);
                            let end = if merge.starts_with('[') { "]" } else { "" };
                            writeln!(self.out, "{pad}<<: {merge}{i}{end}").unwrap();
                        }
                        1 => writeln!(self.out, "{pad}m{i}: &n{i}\n{pad}  <<: *m{i}\n{pad}n{i}:\n{pad}  <<: *n{i}")
                            .unwrap(),
                        _ => writeln!(self.out, "{pad}m{i}:\n{pad}  <<: *m{i}\n{pad}  r: 3").unwrap(),
                    }
                }
                12 => {
                    self.features.insert("comment beside a value");
                    let value = self.scalar();
                    writeln!(self.out, "{pad}{key}: {value} #{}", self.random.pick(COMMENTS)).unwrap();
                }
                _ => {
                    let value = self.scalar();
                    writeln!(self.out, "{pad}{key}: {value}").unwrap();
                }
            }
        }
        if self.random.below(8) == 0 {
            self.comment(&pad, "comment in a map");
        }
    }

    fn list(&mut self, pad: &str, indent: usize) {
        for _ in 0..1 + self.random.below(3) {
            if self.random.below(4) == 0 {
                self.comment(pad, "comment in a list");
            }
            match self.random.below(8) {
                0 if indent < 6 => {
                    writeln!(self.out, "{pad}-").unwrap();
                    self.map(indent + 2);
                }
                1 => {
                    self.features.insert("nested list");
                    let value = self.scalar();
                    writeln!(self.out, "{pad}- - {value}\n{pad}  - x").unwrap();
                }
                2 => {
                    self.features.insert("comment in a list");
                    let (comment, value) = (self.random.pick(COMMENTS), self.scalar());
                    writeln!(self.out, "{pad}- #{comment}\n{pad}  - {value}").unwrap();
                }
                _ => {
                    let value = self.scalar();
                    writeln!(self.out, "{pad}- {value}").unwrap();
                }
            }
        }
    }

    pub(crate) fn json(&mut self, depth: usize) {
        self.out.push('{');
        for i in 0..1 + self.random.below(5) {
            if i > 0 {
                self.out.push(',');
            }
            let key = self.key(i);
            let key = key.trim_matches('"').replace("\\U0001F600", "");
            write!(self.out, "\"{key}{i}\":").unwrap();
            match self.random.below(8) {
                0 if depth < 4 => {
                    self.features.insert("nested map");
                    self.json(depth + 1);
                }
                1 => {
                    self.features.insert("list");
                    let values = [self.json_scalar(), self.json_scalar()];
                    write!(self.out, "[{},[{}],{{}}]", values[0], values[1]).unwrap();
                }
                _ => {
                    let value = self.json_scalar();
                    self.out.push_str(&value);
                }
            }
        }
        self.out.push('}');
    }

    fn json_scalar(&mut self) -> String {
        match self.random.below(8) {
            0 => self
                .random
                .pick(&["0", "-0", "42", "1.5", "1e21", "9007199254740993", "1e-7", "123456789012345678901"])
                .into(),
            1 => self.random.pick(&["true", "false", "null"]).into(),
            2 => "\"\"".into(),
            3 => "\"é\\u2028😀\\ud83d\\ude00\\u0000<&>\"".into(),
            4 => "\"a\\nb\\n\"".into(),
            _ => format!("\"{}\"", self.random.pick(QUOTED)),
        }
    }
}
