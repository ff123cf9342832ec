//! What became of a sink's parcels: for the summary, and for whoever looks while the run goes on.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::sink::text::grouped;

/// The figures of one sink. Written by its courier (`lost`: by who lets go) and read by anybody.
#[derive(Debug, Default)]
pub struct Figures {
    /// How the sink is known.
    pub name: String,
    delivered: AtomicU64,
    rows: AtomicU64,
    retries: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicU64,
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
    /// Batches that wait, and at the end: that the next run is to deliver.
    pub waiting: u64,
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
}

impl Delivered {
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
            ..Figures::default()
        }
    }

    // Relaxed, all of them: each figure stands for itself.

    pub(super) fn took(&self, rows: u64) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, error: &str) {
        self.retries.fetch_add(1, Ordering::Relaxed);
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

    pub(crate) fn wait(&self, batches: u64) {
        self.waiting.store(batches, Ordering::Relaxed);
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
            last_error: last.clone(),
        }
    }
}
