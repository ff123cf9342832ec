//! What the reader tells of its sources, and of itself, at any time.
//!
//! One writer, the reader; a store for each read, of some hundred KiB when it matters. Orderings are relaxed
//! throughout: the figures are each right, and nobody concludes anything from two of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::clock::Timestamp;
use crate::source::Source;

/// How a source stands to its other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Link {
    /// It is read, or listens.
    Connected = 0,
    /// Its connection is lost, and is to be made again.
    Reconnecting = 1,
    /// There will never be more.
    Over = 2,
    /// There will never be more, and that is a failure.
    Failed = 3,
}

impl Link {
    /// What it is called wherever it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Link::Connected => "connected",
            Link::Reconnecting => "reconnecting",
            Link::Over => "over",
            Link::Failed => "failed",
        }
    }

    fn of(value: u8) -> Link {
        match value {
            0 => Link::Connected,
            1 => Link::Reconnecting,
            2 => Link::Over,
            _ => Link::Failed,
        }
    }
}

/// A source as it stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceNow {
    /// Its name, as the user wrote it.
    pub name: Arc<str>,
    /// How it stands to its other end.
    pub link: Link,
    /// Producers that are connected to it; `None`: it does not listen.
    pub connections: Option<u64>,
    /// Bytes received from it.
    pub bytes: u64,
    /// When bytes last came.
    pub heard: Option<Timestamp>,
    /// How often its connection was lost.
    pub losses: u64,
}

/// The reader as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Bytes received from all sources.
    pub bytes: u64,
    /// Whether it is paused by backpressure at this moment.
    pub is_paused: bool,
    /// For how long it has been, in all, in nanoseconds.
    pub paused_nanos: u64,
}

#[derive(Debug)]
struct Gauge {
    name: Arc<str>,
    listens: bool,
    link: AtomicU8,
    connections: AtomicU64,
    bytes: AtomicU64,
    /// In nanoseconds since the epoch; `NEVER`.
    heard: AtomicI64,
    losses: AtomicU64,
}

const NEVER: i64 = i64::MIN;

/// See the module's documentation.
#[derive(Debug)]
pub struct Gauges {
    sources: Vec<Gauge>,
    /// Since when the reader is paused, in nanoseconds since the epoch; `NEVER`.
    paused_since: AtomicI64,
    /// For how long it was, up to the last time.
    paused_nanos: AtomicU64,
}

impl Gauges {
    /// Gauges of sources that nothing has come from.
    pub fn new(sources: &[Box<dyn Source>]) -> Gauges {
        let sources = sources.iter().map(|source| Gauge {
            name: source.name().into(),
            listens: source.connections_max() > 0,
            link: AtomicU8::new(Link::Connected as u8),
            connections: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            heard: AtomicI64::new(NEVER),
            losses: AtomicU64::new(0),
        });
        Gauges {
            sources: sources.collect(),
            paused_since: AtomicI64::new(NEVER),
            paused_nanos: AtomicU64::new(0),
        }
    }

    /// How a source stands; the reader's to tell.
    pub fn set_link(&self, source: usize, link: Link) {
        let gauge = &self.sources[source];
        let before = Link::of(gauge.link.load(Relaxed));
        if link != before {
            gauge.link.store(link as u8, Relaxed);
            if (before, link) == (Link::Connected, Link::Reconnecting) {
                add(&gauge.losses, 1);
            }
        }
    }

    /// Bytes came from a source, or from a connection of it.
    pub fn received(&self, source: usize, bytes: u64, now: Timestamp) {
        let gauge = &self.sources[source];
        add(&gauge.bytes, bytes);
        gauge.heard.store(now.as_nanos(), Relaxed);
    }

    /// A producer connected to a source.
    pub fn connected(&self, source: usize) {
        add(&self.sources[source].connections, 1);
    }

    /// A producer's connection is over.
    pub fn disconnected(&self, source: usize) {
        add(&self.sources[source].connections, 1u64.wrapping_neg());
    }

    /// The reader waits for room.
    pub fn paused(&self, now: Timestamp) {
        self.paused_since.store(now.as_nanos(), Relaxed);
    }

    /// It waits no more, and has waited so long in all.
    pub fn resumed(&self, paused_nanos: u64) {
        self.paused_since.store(NEVER, Relaxed);
        self.paused_nanos.store(paused_nanos, Relaxed);
    }

    pub(super) fn sources(&self) -> Vec<SourceNow> {
        let now = |gauge: &Gauge| {
            let heard = gauge.heard.load(Relaxed);
            SourceNow {
                name: Arc::clone(&gauge.name),
                link: Link::of(gauge.link.load(Relaxed)),
                connections: gauge.listens.then(|| gauge.connections.load(Relaxed)),
                bytes: gauge.bytes.load(Relaxed),
                heard: (heard != NEVER).then(|| Timestamp::from_nanos(heard)),
                losses: gauge.losses.load(Relaxed),
            }
        };
        self.sources.iter().map(now).collect()
    }

    pub(super) fn reading(&self, now: Timestamp) -> Reading {
        let since = self.paused_since.load(Relaxed);
        let is_paused = since != NEVER;
        let pause = match is_paused {
            true => now.nanos_since(Timestamp::from_nanos(since)),
            false => 0,
        };
        let bytes = self.sources.iter().map(|gauge| gauge.bytes.load(Relaxed));
        Reading {
            bytes: bytes.sum(),
            is_paused,
            paused_nanos: self.paused_nanos.load(Relaxed) + pause,
        }
    }
}

/// Adds, for the only writer: no other can come between.
fn add(gauge: &AtomicU64, amount: u64) {
    gauge.store(gauge.load(Relaxed).wrapping_add(amount), Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Script;

    #[test]
    fn a_source_is_told_of_as_it_comes_and_goes() {
        let gauges = Gauges::new(&[Box::new(Script::new([]))]);
        let at = Timestamp::from_millis;
        let one = || gauges.sources().remove(0);
        assert_eq!((one().link, one().heard), (Link::Connected, None));
        gauges.received(0, 5, at(7));
        gauges.received(0, 6, at(8));
        assert_eq!((one().bytes, one().heard), (11, Some(at(8))));
        for link in [Link::Reconnecting, Link::Reconnecting, Link::Connected] {
            gauges.set_link(0, link);
        }
        gauges.set_link(0, Link::Reconnecting);
        gauges.set_link(0, Link::Failed);
        assert_eq!((one().link, one().losses), (Link::Failed, 2));
        assert_eq!(one().connections, None);
    }

    #[test]
    fn a_pause_counts_while_it_lasts() {
        let gauges = Gauges::new(&[]);
        let at = Timestamp::from_nanos;
        gauges.paused(at(100));
        let reading = gauges.reading(at(130));
        assert_eq!((reading.is_paused, reading.paused_nanos), (true, 30));
        gauges.resumed(40);
        let reading = gauges.reading(at(999));
        assert_eq!((reading.is_paused, reading.paused_nanos), (false, 40));
    }
}
