//! The pool: the reader waits for room, two parsers return chunks.
//!
//! The waiting is `Reader::wait_for_room` of `src/reader.rs`, step by step, with a count of free
//! chunks for the pool's list; a chunk is a number.

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use crate::check;
    use crate::queue::Queue;
    use crate::sleeper::ThreadSleeper;

    const PARSERS: usize = 2;

    struct Reader {
        sleeper: Arc<ThreadSleeper>,
        returns: Arc<Queue>,
        /// Chunks that may be sent.
        free: usize,
        returned: usize,
    }

    impl Reader {
        fn reclaim(&mut self) {
            while let Some(chunk) = self.returns.pop() {
                self.returned += chunk;
                self.free += 1;
            }
        }

        fn wait_for_room(&mut self, mut ready: impl FnMut(&mut Self) -> bool) {
            self.reclaim();
            if ready(self) {
                return;
            }
            loop {
                self.sleeper.steps().announce();
                self.reclaim();
                let is_ready = ready(self);
                if !is_ready {
                    thread::park();
                }
                self.sleeper.steps().awake();
                if is_ready {
                    return;
                }
            }
        }
    }

    /// Sends chunk `n` to parser `n % 2` as soon as one is free, then waits for all to come back.
    fn pool(chunks: usize, sent: usize) {
        let mut reader = Reader {
            sleeper: Arc::default(),
            returns: Arc::new(Queue::new(chunks)),
            free: chunks,
            returned: 0,
        };
        reader.sleeper.adopt();
        let lanes: Vec<_> = (0..PARSERS)
            .map(|_| {
                (
                    Arc::new(Queue::new(chunks)),
                    Arc::<ThreadSleeper>::default(),
                )
            })
            .collect();
        let parsers: Vec<_> = (0..PARSERS)
            .map(|parser| {
                let (lane, sleeper) = lanes[parser].clone();
                let (reader, returns) = (reader.sleeper.clone(), reader.returns.clone());
                thread::spawn(move || {
                    sleeper.adopt();
                    for _ in (parser..sent).step_by(PARSERS) {
                        let chunk = sleeper.pop(&lane);
                        returns
                            .push(chunk)
                            .expect("the return queue holds every chunk");
                        reader.wake();
                    }
                })
            })
            .collect();
        for chunk in 0..sent {
            reader.wait_for_room(|reader| reader.free > 0);
            reader.free -= 1;
            let (lane, sleeper) = &lanes[chunk % PARSERS];
            lane.push(chunk + 1)
                .expect("a lane has room for every chunk");
            sleeper.wake();
        }
        reader.wait_for_room(|reader| reader.free == chunks);
        assert_eq!(reader.returned, sent * (sent + 1) / 2);
        parsers
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn one_chunk_goes_round_two_parsers() {
        check(|| pool(1, 2));
    }

    #[test]
    fn two_chunks_come_back_at_once() {
        check(|| pool(2, 3));
    }
}
