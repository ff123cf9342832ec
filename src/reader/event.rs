//! How batches are cut where records have times of their own.
//!
//! Lateness is judged batch by batch, so what is in a batch decides what is late. Of live sources a
//! batch ends by the clock as ever, and after so many bytes, which bounds what it brings. Of recorded
//! input it ends after so many bytes and nothing else, so every run cuts it alike.
//!
//! The watermark is kept by source, so a chunk has lines of one source only, and the batch's mark says
//! of which sources more may come.

use std::io;
use std::sync::Arc;

use super::{Downstream, Reader};
use crate::clock::Timestamp;
use crate::framers::{Place, StreamId};
use crate::lane::Standing;

/// What the reader must know.
#[derive(Clone, Copy, Debug)]
pub struct EventReading {
    /// The input is one source whose order does not change.
    pub is_recorded: bool,
    /// After so long without bytes a source counts as idle.
    pub idle_nanos: u64,
    /// Bytes after which a batch ends; not 0.
    pub batch_bytes_max: u64,
}

/// What the reader remembers.
#[derive(Debug)]
pub(super) struct ByEvent {
    how: EventReading,
    /// Bytes of the open batch; of recorded input never more than allowed, extents apart.
    pub(super) batch_bytes: u64,
    /// The source that the shared chunk's lines are of.
    pub(super) shared: StreamId,
    /// When bytes last came of each source.
    heard: Vec<Timestamp>,
}

impl ByEvent {
    pub(super) fn new(how: EventReading, sources: usize, now: Timestamp) -> ByEvent {
        ByEvent {
            how,
            batch_bytes: 0,
            shared: 0,
            heard: vec![now; sources],
        }
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.how.is_recorded
    }
}

impl<D: Downstream> Reader<D> {
    /// How many bytes may be read for the open batch.
    pub(super) fn batch_bytes_left(&self) -> usize {
        match &self.by_event {
            Some(by_event) if by_event.is_recorded() => {
                let left = by_event.how.batch_bytes_max - by_event.batch_bytes;
                usize::try_from(left).unwrap_or(usize::MAX)
            }
            _ => usize::MAX,
        }
    }

    /// Sends the shared chunk's lines if they are of another source than the stream that is to be read
    /// into it next; `true` if it did.
    pub(super) fn keep_apart(&mut self, id: StreamId, place: Place) -> io::Result<bool> {
        let Some(by_event) = self.by_event.as_mut().filter(|_| place == Place::Shared) else {
            return Ok(false);
        };
        let owner = self.slots.owner(id);
        if by_event.shared == owner {
            return Ok(false);
        }
        let sends = self.framers.at(Place::Shared).has_lines();
        if sends {
            self.send(Place::Shared)?;
        }
        if let Some(by_event) = &mut self.by_event {
            by_event.shared = owner;
        }
        Ok(sends)
    }

    /// Bytes of a stream came; ends the batch if they are enough.
    pub(super) fn count_bytes(
        &mut self,
        id: StreamId,
        bytes: u64,
        now: Timestamp,
    ) -> io::Result<()> {
        let owner = self.slots.owner(id);
        let Some(by_event) = &mut self.by_event else {
            return Ok(());
        };
        by_event.heard[owner] = now;
        by_event.batch_bytes += bytes;
        if by_event.batch_bytes < by_event.how.batch_bytes_max {
            return Ok(());
        }
        self.flush()?;
        self.send_mark(now, false)
    }

    /// What may still come of each source.
    pub(super) fn standing(&mut self, now: Timestamp) -> Arc<[Standing]> {
        let Some(ByEvent { how, heard, .. }) = &self.by_event else {
            return Arc::default();
        };
        let sources = heard.iter().enumerate();
        let standing = sources.map(|(id, heard)| {
            if !self.slots.is_open(id) {
                Standing::Over
            } else if self.slots.source(id).holds_back() {
                Standing::Holding
            } else if !how.is_recorded && now.nanos_since(*heard) >= how.idle_nanos {
                Standing::Idle
            } else {
                Standing::Active
            }
        });
        standing.collect()
    }
}
