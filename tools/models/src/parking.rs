//! Parking: no wake-up is lost. A lost one leaves every thread asleep, which loom reports.

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use crate::queue::Queue;
    use crate::sleeper::ThreadSleeper;
    use crate::{check, check_within};

    /// `producers` threads push `each` values, never waiting for room; the main thread sums them.
    fn one_sleeper(producers: usize, each: usize) {
        let queue = Arc::new(Queue::new(producers * each));
        let sleeper = Arc::new(ThreadSleeper::default());
        let threads: Vec<_> = (0..producers)
            .map(|_| {
                let (queue, sleeper) = (queue.clone(), sleeper.clone());
                thread::spawn(move || {
                    for value in 1..=each {
                        queue.push(value).unwrap();
                        sleeper.wake();
                    }
                })
            })
            .collect();
        sleeper.adopt();
        let sum: usize = (0..producers * each).map(|_| sleeper.pop(&queue)).sum();
        assert_eq!(sum, producers * each * (each + 1) / 2);
        threads
            .into_iter()
            .for_each(|thread| thread.join().unwrap());
    }

    #[test]
    fn one_producer_wakes_the_consumer() {
        check_within(4, || one_sleeper(1, 2));
    }

    #[test]
    fn two_producers_wake_the_consumer() {
        check_within(3, || one_sleeper(2, 1));
    }

    #[test]
    fn both_sides_of_a_full_queue_sleep_and_are_woken() {
        check_within(3, || {
            let queue = Arc::new(Queue::new(1));
            let (producer, consumer) = (
                Arc::new(ThreadSleeper::default()),
                Arc::new(ThreadSleeper::default()),
            );
            let (q, p, c) = (queue.clone(), producer.clone(), consumer.clone());
            let thread = thread::spawn(move || {
                p.adopt();
                for value in 1..=3 {
                    p.push(&q, value);
                    c.wake();
                }
            });
            consumer.adopt();
            for value in 1..=3 {
                assert_eq!(consumer.pop(&queue), value);
                producer.wake();
            }
            thread.join().unwrap();
        });
    }

    /// A parser's sleeper serves three waits: for its lane, for an empty block, for room in a pipe.
    #[test]
    fn a_sleeper_that_is_woken_for_something_else_sleeps_on() {
        check(|| {
            let (lane, pipe) = (Arc::new(Queue::new(1)), Arc::new(Queue::new(1)));
            let (parser, shard) = (
                Arc::new(ThreadSleeper::default()),
                Arc::new(ThreadSleeper::default()),
            );
            let reader = {
                let (lane, parser) = (lane.clone(), parser.clone());
                thread::spawn(move || {
                    lane.push(3).unwrap();
                    parser.wake();
                })
            };
            let middle = {
                let (pipe, parser, shard) = (pipe.clone(), parser.clone(), shard.clone());
                thread::spawn(move || {
                    parser.adopt();
                    for _ in 0..2 {
                        parser.push(&pipe, 1);
                        shard.wake();
                    }
                    let last = parser.pop(&lane);
                    parser.push(&pipe, last);
                    shard.wake();
                })
            };
            shard.adopt();
            let mut sum = 0;
            for _ in 0..3 {
                sum += shard.pop(&pipe);
                parser.wake();
            }
            assert_eq!(sum, 5);
            reader.join().unwrap();
            middle.join().unwrap();
        });
    }
}
