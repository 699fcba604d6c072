//! Counts verdicts: ours beside those of a program of others.

use std::collections::BTreeMap;

/// Every verdict of one suite.
pub(crate) struct Tally {
    suite: &'static str,
    good: usize,
    bad: usize,
    /// By our code, where we refuse what they accept.
    listed: BTreeMap<&'static str, usize>,
    others: Vec<String>,
}

impl Tally {
    pub(crate) fn new(suite: &'static str) -> Self {
        Self { suite, good: 0, bad: 0, listed: BTreeMap::new(), others: Vec::new() }
    }

    /// One signature: whether we accept it or by which code we do not, whether they do, and by which code we must refuse
    /// what they accept.
    pub(crate) fn record(&mut self, what: &str, ours: Result<(), &'static str>, theirs: bool, listed: Option<&str>) {
        match (ours, theirs) {
            (Ok(()), true) if listed.is_none() => self.good += 1,
            (Err(_), false) if listed.is_none() => self.bad += 1,
            (Err(code), true) if listed == Some(code) => *self.listed.entry(code).or_default() += 1,
            _ => self.others.push(format!("{what}: ours {ours:?}, theirs {theirs}, listed {listed:?}")),
        }
    }

    /// Prints the line, and expects nothing but agreement and what is listed, and enough of it.
    pub(crate) fn close(self, good: usize, bad: usize) {
        let Self { suite, good: goods, bad: bads, listed, others } = self;
        let (agreed, differences) = (goods + bads, listed.values().sum::<usize>());
        let codes: Vec<String> = listed.iter().map(|(code, count)| format!("{code} {count}")).collect();
        println!(
            "{suite}: {} signatures: agreed {agreed} ({goods} good, {bads} bad), listed differences {differences} ({}), \
             others {}",
            agreed + differences + others.len(),
            codes.join(", "),
            others.len(),
        );
        assert!(others.is_empty(), "{}", others.join("\n"));
        assert!(goods >= good && bads >= bad, "{suite}: too few to say anything");
    }
}
