//! Boundary marks: a batch closes when both parsers' marks have come, with exactly its pairs.
//!
//! The shard's loop is that of `src/shard.rs`; a block is a number of records.

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use crate::check;
    use crate::marks::Marks;
    use crate::queue::Queue;
    use crate::sleeper::ThreadSleeper;

    /// What crosses a pipe for a boundary mark.
    const MARK: usize = 0;

    struct Pipe {
        items: Queue,
        /// The parser's.
        sleeper: ThreadSleeper,
    }

    /// Sends what `items` says, block by block and mark by mark, waiting while the pipe is full.
    fn parser(pipe: &Pipe, shard: &ThreadSleeper, items: &[usize]) {
        pipe.sleeper.adopt();
        for &item in items {
            pipe.sleeper.push(&pipe.items, item);
            shard.wake();
        }
    }

    /// Closes `batches` batches; the records of each.
    fn shard(pipes: &[Arc<Pipe>], sleeper: &ThreadSleeper, batches: usize) -> Vec<usize> {
        sleeper.adopt();
        let mut marks = Marks::new(pipes.len());
        let (mut closed, mut records) = (Vec::new(), 0);
        while closed.len() < batches {
            let (parser, item) = sleeper.wait(|| {
                let mut open = (0..pipes.len()).filter(|&parser| marks.awaits(parser));
                open.find_map(|parser| Some((parser, pipes[parser].items.pop()?)))
            });
            pipes[parser].sleeper.wake();
            if item != MARK {
                records += item;
            } else if marks.mark(parser) {
                closed.push(std::mem::take(&mut records));
            }
        }
        closed
    }

    fn batches(capacity: usize, items: &'static [&'static [usize]], expected: &'static [usize]) {
        check(move || {
            let sleeper = Arc::new(ThreadSleeper::default());
            let pipes: Vec<_> = items
                .iter()
                .map(|_| {
                    Arc::new(Pipe {
                        items: Queue::new(capacity),
                        sleeper: ThreadSleeper::default(),
                    })
                })
                .collect();
            let threads: Vec<_> = pipes
                .iter()
                .zip(items)
                .map(|(pipe, items)| {
                    let (pipe, sleeper) = (pipe.clone(), sleeper.clone());
                    thread::spawn(move || parser(&pipe, &sleeper, items))
                })
                .collect();
            assert_eq!(shard(&pipes, &sleeper, expected.len()), expected);
            threads
                .into_iter()
                .for_each(|thread| thread.join().unwrap());
        });
    }

    #[test]
    fn a_batch_holds_what_came_before_both_marks() {
        batches(2, &[&[1, MARK, 10, MARK], &[2, MARK, 20, MARK]], &[3, 30]);
    }

    #[test]
    fn a_parser_that_runs_ahead_waits_and_changes_nothing() {
        batches(1, &[&[1, MARK, 10, 20, MARK], &[MARK, MARK]], &[1, 30]);
    }
}
