//! Chunks, and the pool that bounds how many there are.
//!
//! The reader takes chunks from the [`Pool`], fills them and sends them down the lanes; a parser
//! that is done with a chunk puts it into the return queue. The reader alone takes and returns to
//! the free list, last in first out, so that the chunk it fills next is the one whose memory is
//! warmest in the cache, and a stream that needs three chunks touches only three.
//!
//! Bound: the capacities of all chunks, lent or free, never add up to more than the pool's bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::extent::Extent;

/// Whole lines, all of one batch.
#[derive(Debug, Default)]
pub struct Chunk {
    /// The memory, always initialised; `0 <= len <= memory.len()`.
    memory: Vec<u8>,
    /// How much of it is lines.
    len: usize,
    /// When the first bytes that are new in this chunk were read.
    pub received: Timestamp,
    /// Lines too long for any chunk that ended in it; their bytes were skipped.
    pub oversize_lines: u64,
    /// Their heads, each with a newline behind it. Behind them may stand the head of a line that has
    /// not ended yet.
    pub oversize_heads: Vec<u8>,
    /// Instead of lines: where the parser reads them. The memory is then its buffer.
    pub extent: Option<Extent>,
    /// The number of the source that the extent is of; where records have times of their own, also the
    /// one that all lines are of.
    pub source: usize,
    /// Why the parser could not read all of the extent, on the way back.
    pub failure: Option<Error>,
    /// The lane it went down.
    pub lane: usize,
}

impl Chunk {
    /// The lines; each ends in `\n`, save the last one of a stream that ended without.
    pub fn lines(&self) -> &[u8] {
        &self.memory[..self.len]
    }

    /// The heads of the lines that were too long, one for each.
    pub fn oversize_heads(&self) -> impl Iterator<Item = &[u8]> {
        let heads = self.oversize_heads.split(|&byte| byte == b'\n');
        heads.take(self.oversize_lines as usize)
    }

    /// The whole memory, to be filled by the reader, or by the parser of an extent.
    pub fn memory_mut(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    /// Bytes of memory.
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }

    /// Says how much of the memory is lines.
    ///
    /// # Panics
    /// If `len` is more than the capacity.
    pub fn set_len(&mut self, len: usize) {
        assert!(
            len <= self.memory.len(),
            "{len} bytes in a chunk of {}",
            self.memory.len()
        );
        self.len = len;
    }
}

/// The way back of a chunk: parsers push, the reader pops. Never full, as it holds every chunk.
pub type Returns = Arc<ArrayQueue<Box<Chunk>>>;

/// The reader's stock of chunks.
#[derive(Debug)]
pub struct Pool {
    free: Vec<Box<Chunk>>,
    returns: Returns,
    chunk_bytes: usize,
    bytes_max: usize,
    /// Capacities of all chunks there are; `bytes <= bytes_max`.
    bytes: usize,
    /// What came back with chunks, each with the number of its source; no more than there are chunks
    /// as long as the reader takes them before it sends others.
    failures: VecDeque<(usize, Error)>,
}

impl Pool {
    /// A pool of `chunk_bytes`-sized chunks, `bytes_max` bytes at the most.
    ///
    /// # Panics
    /// If not even one chunk fits.
    pub fn new(chunk_bytes: usize, bytes_max: usize) -> Pool {
        assert!(
            chunk_bytes > 0 && chunk_bytes <= bytes_max,
            "{chunk_bytes} in {bytes_max}"
        );
        let returns = Arc::new(ArrayQueue::new(bytes_max / chunk_bytes));
        Pool {
            free: Vec::new(),
            returns,
            chunk_bytes,
            bytes_max,
            bytes: 0,
            failures: VecDeque::new(),
        }
    }

    /// Where parsers put chunks they are done with.
    pub fn returns(&self) -> Returns {
        Arc::clone(&self.returns)
    }

    /// Takes back what the parsers are done with; `each` sees every chunk's lane.
    pub fn reclaim(&mut self, mut each: impl FnMut(usize)) {
        while let Some(mut chunk) = self.returns.pop() {
            each(chunk.lane);
            if let Some(failure) = chunk.failure.take() {
                self.failures.push_back((chunk.source, failure));
            }
            self.put(chunk);
        }
    }

    /// Puts a chunk back. One that had grown for a long line gives its memory up.
    pub fn put(&mut self, mut chunk: Box<Chunk>) {
        if chunk.capacity() == self.chunk_bytes {
            chunk.len = 0;
            chunk.oversize_lines = 0;
            chunk.oversize_heads.clear();
            chunk.extent = None;
            self.free.push(chunk);
        } else {
            self.bytes -= chunk.capacity();
        }
    }

    /// An empty chunk, or `None` when all are in use: the reader then stops reading.
    pub fn take(&mut self) -> Option<Box<Chunk>> {
        if let Some(chunk) = self.free.pop() {
            return Some(chunk);
        }
        if self.bytes + self.chunk_bytes > self.bytes_max {
            return None;
        }
        self.bytes += self.chunk_bytes;
        // Zeroed memory comes from the system untouched: a page costs nothing until it is read into.
        Some(Box::new(Chunk {
            memory: vec![0; self.chunk_bytes],
            ..Chunk::default()
        }))
    }

    /// Gives a chunk room for a longer line, its contents kept: at least `capacity_min` bytes.
    /// `false` if the pool has no bytes left for that at the moment.
    pub fn grow(&mut self, chunk: &mut Chunk, capacity_min: usize) -> bool {
        let more = capacity_min.saturating_sub(chunk.capacity());
        while self.bytes + more > self.bytes_max {
            // Free chunks are memory too.
            let Some(free) = self.free.pop() else {
                return false;
            };
            self.bytes -= free.capacity();
        }
        self.bytes += more;
        chunk.memory.reserve_exact(more);
        chunk.memory.resize(chunk.memory.len() + more, 0);
        true
    }

    /// The number of a source of which an extent that has come back could not be read, and why.
    pub fn take_failure(&mut self) -> Option<(usize, Error)> {
        self.failures.pop_front()
    }

    /// Bytes of memory in all chunks there are.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_holds_more_than_its_bytes() {
        let mut pool = Pool::new(100, 350);
        let mut lent: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        assert_eq!((lent.len(), pool.bytes()), (3, 300));
        assert!(pool.grow(&mut lent[0], 150));
        assert!(!pool.grow(&mut lent[0], 151));
        assert_eq!((lent[0].capacity(), pool.bytes()), (150, 350));
        pool.put(lent.remove(0));
        assert_eq!(pool.bytes(), 200);
        let again = pool.take().unwrap();
        assert_eq!((again.capacity(), pool.bytes()), (100, 300));
    }

    #[test]
    fn returned_chunks_come_back_empty_and_warm_first() {
        let mut pool = Pool::new(16, 64);
        let mut a = pool.take().unwrap();
        a.memory_mut()[..2].copy_from_slice(b"x\n");
        a.set_len(2);
        a.oversize_lines = 3;
        a.lane = 7;
        pool.returns().push(a).unwrap();
        let mut lanes = Vec::new();
        pool.reclaim(|lane| lanes.push(lane));
        assert_eq!(lanes, [7]);
        let a = pool.take().unwrap();
        assert_eq!((a.lines(), a.oversize_lines), (&b""[..], 0));
        assert_eq!(pool.bytes(), 16);
    }

    #[test]
    fn free_chunks_make_room_for_a_long_line() {
        let mut pool = Pool::new(100, 300);
        let (mut a, b, c) = (
            pool.take().unwrap(),
            pool.take().unwrap(),
            pool.take().unwrap(),
        );
        pool.put(b);
        pool.put(c);
        assert!(pool.grow(&mut a, 300));
        assert_eq!(pool.bytes(), 300);
    }
}
