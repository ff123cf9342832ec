//! The reader's streams by their number, and whose turn it is.
//!
//! Sources have the first numbers and keep them. Connections have those after; one that has ended
//! leaves its number to the next that comes. Streams that may have something to read stand in a
//! queue, each once, so that a round costs what is ready and not what is open, and nobody is read
//! twice before another was read once.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::framers::StreamId;
use crate::source::Source;

struct Slot {
    source: Box<dyn Source>,
    /// The source itself, or the one that a connection is of.
    owner: StreamId,
    /// It stands in the queue.
    is_ready: bool,
    is_over: bool,
}

/// See the module's documentation.
pub(super) struct Slots {
    /// Sources first; an ended connection's slot is empty.
    slots: Vec<Option<Slot>>,
    sources: usize,
    free: Vec<StreamId>,
    ready: VecDeque<StreamId>,
    /// Streams that are not over.
    open: usize,
}

impl Slots {
    /// The sources, all of them to be asked.
    pub(super) fn new(sources: Vec<Box<dyn Source>>) -> Slots {
        let (count, slot) = (sources.len(), |(owner, source)| {
            Some(Slot {
                source,
                owner,
                is_ready: true,
                is_over: false,
            })
        });
        Slots {
            slots: sources.into_iter().enumerate().map(slot).collect(),
            sources: count,
            free: Vec::new(),
            ready: (0..count).collect(),
            open: count,
        }
    }

    /// How many sources there are, over or not.
    pub(super) fn sources(&self) -> usize {
        self.sources
    }

    /// Streams that are not over.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Whether a stream is not over.
    pub(super) fn is_open(&self, id: StreamId) -> bool {
        self.slots[id].as_ref().is_some_and(|slot| !slot.is_over)
    }

    /// A stream that is not over.
    pub(super) fn source(&mut self, id: StreamId) -> &mut dyn Source {
        let slot = self.slots[id].as_mut().expect("a stream that has its turn");
        &mut *slot.source
    }

    /// The source that a stream is, or is of.
    pub(super) fn owner(&self, id: StreamId) -> StreamId {
        let slot = self.slots[id].as_ref();
        slot.map_or(id, |slot| slot.owner)
    }

    /// The number that the next connection gets.
    pub(super) fn next_id(&self) -> StreamId {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    /// Adds a connection of the source `owner` as [`Slots::next_id`], to be asked.
    pub(super) fn add(&mut self, source: Box<dyn Source>, owner: StreamId) {
        let slot = Some(Slot {
            source,
            owner,
            is_ready: false,
            is_over: false,
        });
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        self.open += 1;
        self.make_ready(id);
    }

    /// A stream is over, that was not.
    pub(super) fn end(&mut self, id: StreamId) {
        let slot = self.slots[id].as_mut().expect("a stream that is not over");
        slot.is_over = true;
        self.open -= 1;
        if id >= self.sources {
            if slot.is_ready {
                self.ready.retain(|&ready| ready != id);
            }
            // Closes it, so that no event of its own can come for its successor.
            self.slots[id] = None;
            self.free.push(id);
        }
    }

    /// The stream may have something to read.
    pub(super) fn make_ready(&mut self, id: StreamId) {
        // An event may have been on its way to a connection that has ended.
        if let Some(Some(slot)) = self.slots.get_mut(id)
            && !slot.is_ready
            && !slot.is_over
        {
            slot.is_ready = true;
            self.ready.push_back(id);
        }
    }

    /// A helper thread of any source may have called.
    pub(super) fn make_sources_ready(&mut self) {
        for id in 0..self.sources {
            self.make_ready(id);
        }
    }

    /// Sources whose time has come are to be asked.
    pub(super) fn make_due_ready(&mut self, now: Timestamp) {
        for id in 0..self.sources {
            let slot = self.slots[id].as_ref();
            let wake_at = slot.and_then(|slot| slot.source.wake_at());
            if wake_at.is_some_and(|at| at <= now) {
                self.make_ready(id);
            }
        }
    }

    /// When the first of the sources wants to be asked.
    pub(super) fn wake_at(&self) -> Option<Timestamp> {
        let sources = self.slots[..self.sources].iter().flatten();
        let awaited = sources.filter(|slot| !slot.is_over);
        awaited.filter_map(|slot| slot.source.wake_at()).min()
    }

    /// How many turns a round has.
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Whose turn it is next; it stands in the queue no more.
    pub(super) fn next_ready(&mut self) -> Option<StreamId> {
        while let Some(id) = self.ready.pop_front() {
            let slot = self.slots[id].as_mut();
            let slot = slot.expect("a connection that ends leaves the queue");
            slot.is_ready = false;
            if !slot.is_over {
                return Some(id);
            }
        }
        None
    }
}
