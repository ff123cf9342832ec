//! Pipes: the lock-free queues from each parser to each shard.
//!
//! A pipe carries blocks one way and brings them back empty the other way, so nothing is allocated
//! once it has filled. There are [`BLOCKS_MAX`] blocks to a pipe, and one that the parser fills: a parser whose shard is slower
//! waits for one to come back, and so, in the end, does the sender.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::block::Block;
use crate::event::Latest;
use crate::lane::{Lane, Mark};
use crate::ledger::Ledger;
use crate::thread::ThreadSleeper;

/// Blocks between one parser and one shard, without the one being filled.
pub const BLOCKS_MAX: usize = 4;

/// What crosses from a parser to a shard.
#[derive(Debug)]
pub enum PipeItem {
    /// Pairs to count.
    Block(Box<Block>),
    /// Every pair of the batch has come before this; what the parser has to tell of the batch is told to
    /// one shard only (the others get nothing).
    Mark(Mark, Told),
}

/// What a parser, or a shard for several, tells of a batch beside its pairs.
#[derive(Debug, Default)]
pub struct Told {
    /// Lines by column.
    pub ledger: Ledger,
    /// The latest times, where records have times of their own.
    pub latest: Latest,
}

impl Told {
    /// What another one tells, too.
    pub fn merge(&mut self, other: &Told) {
        self.ledger += other.ledger;
        self.latest.merge(&other.latest);
    }
}

#[derive(Debug)]
struct Queues {
    items: ArrayQueue<PipeItem>,
    empty: ArrayQueue<Box<Block>>,
}

/// The parser's end.
#[derive(Debug)]
pub struct PipeSender {
    queues: Arc<Queues>,
    /// Holds the parser's own sleeper.
    lane: Arc<Lane>,
    shard: Arc<ThreadSleeper>,
}

/// The shard's end.
#[derive(Debug)]
pub struct PipeReceiver {
    queues: Arc<Queues>,
    lane: Arc<Lane>,
}

/// A pipe from the parser that reads `lane` to the shard that sleeps on `shard`.
pub fn pipe(lane: &Arc<Lane>, shard: &Arc<ThreadSleeper>) -> (PipeSender, PipeReceiver) {
    let queues = Arc::new(Queues {
        items: ArrayQueue::new(2 * BLOCKS_MAX),
        empty: ArrayQueue::new(BLOCKS_MAX + 1),
    });
    for _ in 0..BLOCKS_MAX {
        let fits = queues.empty.push(Box::default());
        assert!(fits.is_ok(), "an empty queue has room");
    }
    let sender = PipeSender {
        queues: queues.clone(),
        lane: lane.clone(),
        shard: shard.clone(),
    };
    (
        sender,
        PipeReceiver {
            queues,
            lane: lane.clone(),
        },
    )
}

impl PipeSender {
    /// Sends the block and puts an empty one in its place, waiting as long as the shard is behind.
    pub fn swap(&self, block: &mut Box<Block>) {
        let empty = self.lane.parser.wait(|| self.queues.empty.pop());
        self.send(PipeItem::Block(std::mem::replace(block, empty)));
    }

    /// Sends an item, waiting as long as the pipe is full.
    pub fn send(&self, item: PipeItem) {
        let mut item = Some(item);
        self.lane.parser.wait(|| {
            item = self.queues.items.push(item.take()?).err();
            item.is_none().then_some(())
        });
        self.shard.wake();
    }
}

impl PipeReceiver {
    /// The next item, if one has come.
    pub fn receive(&self) -> Option<PipeItem> {
        let item = self.queues.items.pop()?;
        self.lane.parser.wake();
        Some(item)
    }

    /// Sends a counted block back.
    pub fn give_back(&self, mut block: Box<Block>) {
        block.clear();
        let fits = self.queues.empty.push(block);
        assert!(
            fits.is_ok(),
            "the queue has room for every block of the pipe"
        );
        self.lane.parser.wake();
    }
}
