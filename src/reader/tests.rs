use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use mio::Poll;

use super::*;
use crate::clock::{Steps, VirtualClock};
use crate::source::{Address, Listener, Next, Part, PartOffset, Readiness};

#[test]
fn boundaries_are_multiples_of_the_interval() {
    let every = 5_000_000_000;
    let at = |ms| Timestamp::from_millis(ms);
    assert_eq!(next_boundary(at(0), every), at(5000));
    assert_eq!(next_boundary(at(4999), every), at(5000));
    assert_eq!(next_boundary(at(5000), every), at(10_000));
    assert_eq!(next_boundary(at(-1), every), at(0));
}

/// A clock that is at the time it was set to.
#[derive(Default)]
struct SetClock(AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn wait(&self, _: &mut Poll, _: &mut Events, _: Option<Timestamp>) -> io::Result<()> {
        Ok(())
    }
}

/// Pieces of a stream, and the milliseconds the clock stands at when each has been read.
struct Pieces(Arc<SetClock>, Vec<(i64, &'static [u8])>, i64);

impl Source for Pieces {
    fn name(&self) -> &str {
        "pieces"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        if self.1.is_empty() {
            return Read::Finished;
        }
        let (millis, piece) = self.1.remove(0);
        self.0.0.store(millis, Ordering::Relaxed);
        space[..piece.len()].copy_from_slice(piece);
        self.2 += 1;
        Read::Bytes(piece.len())
    }

    /// An offset is the number of pieces before it.
    fn offsets(&mut self, is_held: bool) -> Vec<PartOffset> {
        vec![PartOffset {
            part: Part::Partition(0),
            next: Next::Record(self.2 - i64::from(is_held)),
            lag: None,
        }]
    }
}

/// Keeps the lines of every batch, the offset behind it and its end; never idle, so that lines are held back.
#[derive(Default)]
struct Batches(Vec<(Vec<u8>, i64)>, Vec<u8>, Vec<Timestamp>);

impl Downstream for Batches {
    fn reclaim(&mut self, _: &mut Pool) {}

    fn has_room(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        true
    }

    fn is_idle(&self) -> bool {
        false
    }

    fn chunk(&mut self, chunk: Box<Chunk>, pool: &mut Pool) {
        self.1.extend_from_slice(chunk.lines());
        pool.put(chunk);
    }

    fn mark(&mut self, mark: &Mark) -> bool {
        let offsets = mark.offsets.first();
        let next = match offsets.map(|source| &source.parts[0].next) {
            Some(&Next::Record(next)) => next,
            _ => 0,
        };
        self.0.push((std::mem::take(&mut self.1), next));
        self.2.push(mark.end);
        true
    }
}

fn reader(
    sources: Vec<Box<dyn Source>>,
    clock: Arc<dyn Clock>,
    pool: Pool,
    long_connections_max: usize,
) -> Reader<Batches> {
    let parts = ReaderParts {
        gauges: Arc::new(Gauges::new(&sources)),
        sources,
        pool,
        downstream: Batches::default(),
        clock,
        every_nanos: 10_000_000,
        first_batch: 1,
        line_bytes_max: 32,
        send_bytes: 64,
        long_connections_max,
        fail_fast: false,
        event: None,
    };
    Reader::new(parts, ReaderPoll::new().unwrap())
}

/// The lines of each batch, and the offset behind it.
fn texts(batches: &Batches) -> Vec<(&str, i64)> {
    let batches = batches.0.iter();
    batches
        .map(|(lines, next)| (std::str::from_utf8(lines).unwrap(), *next))
        .collect()
}

#[test]
fn bytes_that_a_boundary_overtook_while_they_were_read_are_the_next_batch_s_own() {
    let clock = Arc::new(SetClock::default());
    let pieces: Vec<(i64, &[u8])> = vec![
        (1, b"a\nb"),
        (5, b"c\nd"),
        (12, b"e\n"),
        (13, b"f\n"),
        (31, b"g\nh\ni\n"),
    ];
    let source = Box::new(Pieces(Arc::clone(&clock), pieces, 0));
    let reader = reader(vec![source], clock, Pool::new(64, 256), 0);
    let (report, batches) = reader.run().unwrap();
    let expected = [("a\nbc\n", 2), ("de\nf\n", 4), ("", 4), ("g\nh\ni\n", 5)];
    assert_eq!(texts(&batches), expected);
    assert_eq!((report.bytes, report.torn_lines), (16, 0));
}

/// A clock that is set by so many milliseconds after 15 of them have passed.
struct SteppedClock(Arc<SetClock>, i64, Steps);

impl Clock for SteppedClock {
    fn now(&self) -> Timestamp {
        let passed = self.0.0.load(Ordering::Relaxed);
        let set = if passed < 15 { 0 } else { self.1 };
        let day = Timestamp::from_millis(1_795_362_457_120 + passed + set);
        self.2.time(day, passed * 1_000_000)
    }

    fn wait(&self, _: &mut Poll, _: &mut Events, _: Option<Timestamp>) -> io::Result<()> {
        Ok(())
    }
}

/// The batches of some pieces, read on a clock that is set, and what is told of it.
fn batches_on_a_clock_set_by(step_ms: i64) -> (Batches, String) {
    let passes = Arc::new(SetClock::default());
    let pieces: Vec<(i64, &[u8])> = vec![(1, b"a\n"), (14, b"b\n"), (16, b"c\n"), (25, b"d\n")];
    let source = Box::new(Pieces(Arc::clone(&passes), pieces, 0));
    let clock = Arc::new(SteppedClock(passes, step_ms, Steps::new()));
    let reader = reader(vec![source], clock, Pool::new(64, 256), 0);
    let told = tempfile::NamedTempFile::new().unwrap();
    let log = tracing_subscriber::fmt().with_ansi(false).without_time();
    let log = log.with_writer(Arc::new(told.reopen().unwrap())).finish();
    let (_, batches) = tracing::subscriber::with_default(log, || reader.run().unwrap());
    (batches, std::fs::read_to_string(told.path()).unwrap())
}

#[test]
fn a_clock_set_back_by_an_hour_breaks_no_batch_and_is_told() {
    let (batches, told) = batches_on_a_clock_set_by(-3_600_000);
    let expected = [("a\n", 1), ("b\nc\n", 3), ("d\n", 4)];
    assert_eq!(texts(&batches), expected);
    assert_eq!(
        batches.2,
        [10, 20, 25].map(|ms| Timestamp::from_millis(1_795_362_457_120 + ms))
    );
    let expected = "the clock was set back by 1h: batches go on without a break, their times ahead of it by that";
    assert!(told.contains(expected), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

#[test]
fn a_clock_set_forward_by_an_hour_makes_one_long_batch_and_is_told() {
    let (batches, told) = batches_on_a_clock_set_by(3_600_000);
    let expected = [("a\n", 1), ("b\n", 2), ("c\n", 3), ("d\n", 4)];
    assert_eq!(texts(&batches), expected);
    let ends = [10, 20, 3_600_020, 3_600_025];
    assert_eq!(
        batches.2,
        ends.map(|ms| Timestamp::from_millis(1_795_362_457_120 + ms))
    );
    let expected =
        "the clock went forward over 359999 batch boundaries at once; one batch spans them";
    assert!(told.contains(expected), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

/// Always has a line, until the trickle is over.
struct Torrent {
    reads: Arc<AtomicI64>,
    is_enough: Arc<AtomicBool>,
}

impl Source for Torrent {
    fn name(&self) -> &str {
        "torrent"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        if self.is_enough.load(Ordering::Relaxed) {
            return Read::Finished;
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
        space[..2].copy_from_slice(b"t\n");
        Read::Bytes(2)
    }
}

/// Has a line, then nothing until the next event, in turn; notes how far the torrent was each time.
struct Trickle {
    lines: usize,
    has_line: bool,
    torrent_reads: Arc<AtomicI64>,
    seen: Vec<i64>,
    is_enough: Arc<AtomicBool>,
}

impl Source for Trickle {
    fn name(&self) -> &str {
        "trickle"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], readiness: &Readiness<'_>, _: Timestamp) -> Read {
        self.seen.push(self.torrent_reads.load(Ordering::Relaxed));
        if self.lines == 0 {
            let gaps = self.seen.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(
                gaps.max() <= Some(2),
                "reads of the torrent: {:?}",
                self.seen
            );
            self.is_enough.store(true, Ordering::Relaxed);
            return Read::Finished;
        }
        self.has_line = !self.has_line;
        if !self.has_line {
            readiness.waker.wake().unwrap();
            return Read::Nothing;
        }
        self.lines -= 1;
        space[..2].copy_from_slice(b"s\n");
        Read::Bytes(2)
    }
}

#[test]
fn a_source_that_always_has_something_does_not_keep_another_from_being_noticed() {
    let start = Timestamp::from_millis(1);
    let (reads, is_enough) = (Arc::default(), Arc::default());
    let trickle = Trickle {
        lines: 100,
        has_line: false,
        torrent_reads: Arc::clone(&reads),
        seen: Vec::new(),
        is_enough: Arc::clone(&is_enough),
    };
    let torrent = Torrent { reads, is_enough };
    let clock = Arc::new(VirtualClock::new(start));
    let sources: Vec<Box<dyn Source>> = vec![Box::new(torrent), Box::new(trickle)];
    let (_, batches) = reader(sources, clock, Pool::new(64, 512), 0).run().unwrap();
    // Time stood still: not once did the reader sleep.
    assert_eq!(batches.0.len(), 1);
    assert_eq!(
        batches.0[0].0.iter().filter(|&&byte| byte == b's').count(),
        100
    );
}

/// Messages that it does not cut if a whole chunk has room for them.
struct Messages(Vec<&'static [u8]>, bool);

impl Source for Messages {
    fn name(&self) -> &str {
        "messages"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        let Some(message) = self.0.first_mut() else {
            return Read::Finished;
        };
        if message.len() > space.len() && !std::mem::replace(&mut self.1, true) {
            return Read::Full;
        }
        self.1 = false;
        let count = message.len().min(space.len());
        space[..count].copy_from_slice(&message[..count]);
        *message = &message[count..];
        if message.is_empty() {
            self.0.remove(0);
        }
        Read::Bytes(count)
    }
}

#[test]
fn a_source_that_does_not_want_to_be_cut_gets_a_fresh_chunk() {
    let messages: Vec<&[u8]> = vec![b"aaaa\n", b"bbbb\n", b"longer than a chunk\n", b"c\n"];
    let source = Box::new(Messages(messages, false));
    let reader = reader(
        vec![source],
        Arc::<SetClock>::default(),
        Pool::new(8, 256),
        0,
    );
    let (report, batches) = reader.run().unwrap();
    let expected = [("aaaa\nbbbb\nlonger than a chunk\nc\n", 0)];
    assert_eq!(texts(&batches), expected);
    assert_eq!(report.bytes, 32);
}

#[test]
fn a_reader_that_is_stopped_takes_what_sockets_have_received() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("producers.sock");
    let listener = Listener::bind("producers", &Address::Unix(path.clone()), 9).unwrap();
    let producer = |lines: &[u8]| {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
        std::io::Write::write_all(&mut stream, lines).unwrap();
        stream
    };
    // One is gone already, the other is in the middle of a line; neither has been accepted.
    drop(producer(&b"{}\n".repeat(500)));
    let silent = producer(b"1\n2\n3");
    let reader = reader(
        vec![Box::new(listener)],
        Arc::new(VirtualClock::new(Timestamp::default())),
        Pool::new(64, 64 * 40),
        9,
    );
    reader.poll.stop().stop();
    let (report, batches) = reader.run().unwrap();
    let lines: usize = batches.0.iter().map(|(lines, _)| lines.len()).sum();
    assert_eq!((lines, report.torn_lines), (3 * 500 + 4, 1));
    drop(silent);
}
