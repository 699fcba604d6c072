//! What the egress has carried and refused, in numbers.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::Serialize;

use super::{Outcome, log::Entry};

/// The counters of an egress; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Mutex<Counts>>);

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that have a place now, from the dial frame to the end.
    pub open: u64,
    /// Connections that wait for a place now.
    pub waiting: u64,
    /// Bytes from enclaves, of connections that have ended.
    pub bytes_out: u64,
    /// Bytes to enclaves, of connections that have ended.
    pub bytes_in: u64,
    /// How connections ended, by [`Outcome::code`]; an outcome that never was is not there.
    pub outcomes: BTreeMap<&'static str, u64>,
}

impl Counts {
    /// Connections that ended so.
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.outcomes.get(outcome.code()).copied().unwrap_or_default()
    }
}

impl Counters {
    /// The counters now.
    pub fn read(&self) -> Counts {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts what a log line says.
    pub(super) fn ended(&self, entry: &Entry) {
        self.change(|counts| {
            counts.bytes_out = counts.bytes_out.saturating_add(entry.bytes_out);
            counts.bytes_in = counts.bytes_in.saturating_add(entry.bytes_in);
            let outcomes = counts.outcomes.entry(entry.outcome.code()).or_default();
            *outcomes = outcomes.saturating_add(1);
        });
    }

    /// One more is open until the guard is dropped, however the connection's task ends.
    pub(super) fn open(&self) -> Guard {
        Guard::new(self.clone(), |counts| &mut counts.open)
    }

    /// One more is waiting until the guard is dropped.
    pub(super) fn waiting(&self) -> Guard {
        Guard::new(self.clone(), |counts| &mut counts.waiting)
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Keeps one of the numbers that go down again.
pub(super) struct Guard {
    counters: Counters,
    number: fn(&mut Counts) -> &mut u64,
}

impl Guard {
    fn new(counters: Counters, number: fn(&mut Counts) -> &mut u64) -> Self {
        counters.change(|counts| *number(counts) = number(counts).saturating_add(1));
        Self { counters, number }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.counters.change(|counts| *(self.number)(counts) = (self.number)(counts).saturating_sub(1));
    }
}
