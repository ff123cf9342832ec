//! What the reader sends to when it counts: the lanes of all parsers.
//!
//! A chunk goes to the parser with the fewest in hand, the first of them if several are equal: so a
//! trickle keeps one parser's caches warm and a flood is spread evenly.

use std::sync::Arc;

use crate::chunk::{Chunk, Pool};
use crate::faults;
use crate::lane::{Lane, LaneItem, Mark};
use crate::reader::Downstream;

/// The lanes, as the reader sees them.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Arc<Lane>>,
    /// Chunks sent down each lane and not come back yet; `in_hand[i] <= chunks_max`.
    in_hand: Vec<usize>,
    chunks_max: usize,
    /// Lanes that have got the mark that is being sent.
    marked: usize,
}

impl Lanes {
    /// Sends to `lanes`, each of which takes `chunks_max` chunks.
    pub fn new(lanes: Vec<Arc<Lane>>, chunks_max: usize) -> Lanes {
        let in_hand = vec![0; lanes.len()];
        Lanes {
            lanes,
            in_hand,
            chunks_max,
            marked: 0,
        }
    }

    fn least_busy(&self) -> usize {
        let busy = self
            .in_hand
            .iter()
            .enumerate()
            .min_by_key(|&(_, &chunks)| chunks);
        busy.map_or(0, |(lane, _)| lane)
    }
}

impl Downstream for Lanes {
    fn reclaim(&mut self, pool: &mut Pool) {
        faults::pause();
        let in_hand = &mut self.in_hand;
        pool.reclaim(|lane| in_hand[lane] -= 1);
    }

    fn has_room(&self) -> bool {
        let lane = self.least_busy();
        // Marks that the parser has not come to yet take up room too.
        self.in_hand[lane] < self.chunks_max && self.lanes[lane].has_room()
    }

    fn is_done(&self) -> bool {
        self.in_hand.iter().all(|&chunks| chunks == 0)
    }

    fn is_idle(&self) -> bool {
        self.in_hand.contains(&0)
    }

    fn chunk(&mut self, mut chunk: Box<Chunk>, _: &mut Pool) {
        let lane = self.least_busy();
        chunk.lane = lane;
        self.in_hand[lane] += 1;
        let sent = self.lanes[lane].send(LaneItem::Chunk(chunk));
        assert!(
            sent.is_ok(),
            "a lane has room for {} chunks",
            self.chunks_max
        );
    }

    fn mark(&mut self, mark: &Mark) -> bool {
        while self.marked < self.lanes.len() {
            if self.lanes[self.marked]
                .send(LaneItem::Mark(mark.clone()))
                .is_err()
            {
                return false;
            }
            self.marked += 1;
        }
        self.marked = 0;
        true
    }
}
