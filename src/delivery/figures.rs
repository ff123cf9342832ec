//! What became of a sink's parcels: for the summary, and for whoever looks while the run goes on.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::clock::Timestamp;
use crate::sink::text::{duration, grouped};

/// The end of a batch that was taken, while none was.
const NEVER: i64 = i64::MIN;

/// The figures of one sink. Written by its courier (`lost`, `waiting`: by who adds and lets go, too) and read by
/// anybody.
#[derive(Debug)]
pub struct Figures {
    /// How the sink is known.
    pub name: String,
    delivered: AtomicU64,
    rows: AtomicU64,
    retries: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
    is_failing: AtomicBool,
    /// Where the last batch ended that was taken or passed over.
    until: AtomicI64,
    /// Never held for longer than it takes to write a line down.
    last_error: Mutex<Option<String>>,
}

/// The figures at one instant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// How the sink is known.
    pub name: String,
    /// Batches that it has taken.
    pub delivered: u64,
    /// Their rows.
    pub rows: u64,
    /// Attempts that failed.
    pub retries: u64,
    /// Batches that it will never take.
    pub refused: u64,
    /// Batches that were let go for want of room, or at the end.
    pub lost: u64,
    /// Batches that wait, the one at hand among them, and at the end: that the next run is to deliver.
    pub waiting: u64,
    /// Whether the last attempt failed.
    pub is_failing: bool,
    /// Where the last batch of this run ended that it has taken, or that was passed over.
    pub until: Option<Timestamp>,
    /// The last thing that went wrong.
    pub last_error: Option<String>,
}

impl Delivered {
    /// What it lacks, if it lacks anything, in words.
    pub fn lack(&self) -> Option<String> {
        let lacks = [
            (self.refused, "not taken and passed over"),
            (self.lost, "lost"),
            (self.waiting, "waiting in the state for the next run"),
        ];
        let lacks = lacks.iter().filter(|(count, _)| *count > 0);
        let lacks: Vec<String> = lacks
            .map(|(count, what)| format!("{} {what}", batches(*count)))
            .collect();
        (!lacks.is_empty()).then(|| lacks.join(", "))
    }

    /// How far it is behind: from the end of the last batch that it has taken, or the run's start, to now; 0 if nothing
    /// waits.
    pub fn lag_nanos(&self, started: Timestamp, now: Timestamp) -> u64 {
        match self.waiting {
            0 => 0,
            _ => now.nanos_since(self.until.unwrap_or(started)),
        }
    }

    /// What is not as it should be while the run goes on, if anything is not, in words. That one batch waits is as it
    /// should be: it has just closed.
    pub fn trouble(&self, lag_nanos: u64) -> Option<String> {
        let mut parts = Vec::new();
        if self.is_failing {
            parts.push("takes nothing".to_owned());
        }
        if self.waiting > 1 || (self.is_failing && self.waiting > 0) {
            let lag = duration(lag_nanos / 1_000_000 * 1_000_000);
            parts.push(format!("{} waiting, {lag} behind", batches(self.waiting)));
        }
        let gone = [(self.refused, "passed over"), (self.lost, "lost")];
        let gone = gone.iter().filter(|(count, _)| *count > 0);
        parts.extend(gone.map(|(count, what)| format!("{} {what}", batches(*count))));
        let why = self.last_error.as_ref().filter(|_| self.is_failing);
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        (!parts.is_empty()).then(|| parts.join(", ") + &why)
    }

    /// The figures, for programs.
    pub fn figures(&self) -> Value {
        json!({
            "name": self.name,
            "batches": self.delivered,
            "rows": self.rows,
            "retries": self.retries,
            "refused": self.refused,
            "lost": self.lost,
            "waiting": self.waiting,
            "last_error": self.last_error,
        })
    }
}

/// So many batches, in words.
pub(crate) fn batches(count: u64) -> String {
    match count {
        1 => "1 batch".to_owned(),
        _ => format!("{} batches", grouped(count)),
    }
}

/// A line for the end of a run.
impl fmt::Display for Delivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delivered {
            name,
            delivered,
            rows,
            retries,
            ..
        } = self;
        let (delivered, rows) = (batches(*delivered), grouped(*rows));
        write!(f, "{name}: {delivered} with {rows} rows delivered")?;
        if *retries > 0 {
            write!(f, ", {} attempts failed", grouped(*retries))?;
        }
        match self.lack() {
            Some(lack) => write!(f, ", {lack}"),
            None => Ok(()),
        }
    }
}

impl Figures {
    /// All 0.
    pub fn new(name: String) -> Figures {
        Figures {
            name,
            delivered: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            until: AtomicI64::new(NEVER),
            last_error: Mutex::default(),
        }
    }

    // Relaxed, all of them: each figure stands for itself.

    pub(super) fn took(&self, rows: u64) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// The sink is done with a batch that ended then.
    pub(super) fn came(&self, until: Timestamp) {
        self.is_failing.store(false, Ordering::Relaxed);
        self.until.store(until.as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn failed(&self, error: &str) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        self.warn(error);
    }

    /// It cannot take anything at the moment, before anything was tried.
    pub(crate) fn warn(&self, error: &str) {
        self.is_failing.store(true, Ordering::Relaxed);
        self.note(error);
    }

    /// Counts a batch as passed over.
    pub(crate) fn refuse(&self, error: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.note(error);
    }

    /// Counts batches as lost. Returns whether they are the first.
    pub(crate) fn lose(&self, batches: u64) -> bool {
        self.lost.fetch_add(batches, Ordering::Relaxed) == 0
    }

    /// So many batches wait.
    pub(crate) fn wait(&self, batches: u64) {
        self.waiting.store(batches, Ordering::Relaxed);
    }

    /// One more waits.
    pub(super) fn wait_more(&self) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
    }

    /// So many that waited do not any more.
    pub(super) fn wait_less(&self, batches: u64) {
        self.waiting.fetch_sub(batches, Ordering::Relaxed);
    }

    fn note(&self, error: &str) {
        // A line is either there or not.
        let mut last = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Some(error.to_owned());
    }

    /// The figures as they are now.
    pub fn outcome(&self) -> Delivered {
        let last = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Delivered {
            name: self.name.clone(),
            delivered: self.delivered.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
            is_failing: self.is_failing.load(Ordering::Relaxed),
            until: Some(self.until.load(Ordering::Relaxed))
                .filter(|until| *until != NEVER)
                .map(Timestamp::from_nanos),
            last_error: last.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_should_be_is_told_while_it_is() {
        let figures = Figures::new("here".to_owned());
        let at = Timestamp::from_millis;
        let told = || {
            let now = figures.outcome();
            now.trouble(now.lag_nanos(at(1_000), at(13_000)))
        };
        figures.wait_more();
        assert_eq!(told(), None, "it has just closed");
        figures.failed("it is away");
        let wanted = "takes nothing, 1 batch waiting, 12 s behind: it is away";
        assert_eq!(told().as_deref(), Some(wanted));
        figures.wait_more();
        figures.took(5);
        figures.came(at(5_000));
        let wanted = "2 batches waiting, 8 s behind";
        assert_eq!(told().as_deref(), Some(wanted));
        figures.wait_less(2);
        assert_eq!(told(), None);
        figures.refuse("no");
        figures.lose(2);
        let wanted = "1 batch passed over, 2 batches lost";
        assert_eq!(told().as_deref(), Some(wanted));
    }
}
