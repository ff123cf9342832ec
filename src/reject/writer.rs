//! The writer's thread: blocks of bad lines in, a file out.
//!
//! It waits for nobody but the disk, so a parser that waits for it goes on in the end.

use std::io;
use std::sync::Arc;

use memchr::memchr_iter;

use super::{BLOCK_BYTES, Block, Pipe, RejectFile};
use crate::error::reason;
use crate::thread::ThreadSleeper;

/// What became of the lines to keep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Lines in the file, or in one that has been rotated away.
    pub saved: u64,
    /// Lines that could not be saved.
    pub lost: u64,
}

/// Writes what the parsers reject.
#[derive(Debug)]
pub struct RejectWriter {
    pipes: Vec<Arc<Pipe>>,
    sleeper: Arc<ThreadSleeper>,
    file: RejectFile,
    rejected: Rejected,
    failure: Option<io::Error>,
}

impl RejectWriter {
    pub(super) fn new(
        pipes: Vec<Arc<Pipe>>,
        sleeper: Arc<ThreadSleeper>,
        file: RejectFile,
    ) -> RejectWriter {
        RejectWriter {
            pipes,
            sleeper,
            file,
            rejected: Rejected::default(),
            failure: None,
        }
    }

    /// Writes until every parser has finished. The error, if one ended the saving, has been told.
    pub fn run(mut self) -> (Rejected, Option<io::Error>) {
        self.sleeper.adopt();
        let mut open = self.pipes.len();
        let mut turn = 0;
        while open > 0 {
            let pipes = &self.pipes;
            // From the one behind the last, so that no parser waits for the others.
            let (index, item) = self.sleeper.wait(|| {
                let turns = (0..pipes.len()).map(|i| (turn + i) % pipes.len());
                turns
                    .into_iter()
                    .find_map(|i| Some((i, pipes[i].full.pop()?)))
            });
            turn = index + 1;
            match item {
                Some(block) => {
                    self.write(&block);
                    give_back(&self.pipes[index], block);
                }
                None => open -= 1,
            }
        }
        (self.rejected, self.failure)
    }

    fn write(&mut self, lines: &[u8]) {
        let mut rest = lines;
        if self.failure.is_none()
            && let Err(error) = self.file.write(&mut rest)
        {
            tracing::error!(
                "--reject-file {}: {}; bad lines are not saved any more, the counting goes on",
                self.file.path().display(),
                reason(&error)
            );
            self.failure = Some(error);
        }
        let lost = memchr_iter(b'\n', rest).count() as u64;
        self.rejected.lost += lost;
        self.rejected.saved += memchr_iter(b'\n', lines).count() as u64 - lost;
    }
}

fn give_back(pipe: &Pipe, mut block: Block) {
    block.clear();
    // One that had grown for a long line gives its memory up.
    block.shrink_to(2 * BLOCK_BYTES);
    let fits = pipe.empty.push(block);
    assert!(
        fits.is_ok(),
        "the queue has room for every block of the pipe"
    );
    pipe.lane.parser.wake();
}
