//! The run: generates a block, offers it, accounts for it, until the plan is fulfilled.
//!
//! One thread does it all: generating a block takes a fraction of the time the kernel needs to copy it. A block that
//! was not taken whole is taken back in the generator, so the [`Expectation`] always tells of exactly the whole lines
//! that were taken, and the next peer gets the next line in full.

use std::io;
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::expectation::Expectation;
use crate::generator::{Filled, Generator};
use crate::latency::{Latency, Recorder};
use crate::outlet::{Halt, Outlet, TakenEnd};
use crate::schedule::{Limit, Plan, Schedule};

/// Bytes generated and offered at a time: they stay in the cache from the generator to the kernel's copy. From 32 KiB
/// to 1 MiB no size was measurably better than another; a small one deals finely to several clients.
const BLOCK_BYTES: usize = 64 * 1024;
/// The longest sleep before the stop flag is looked at again.
const NAP_MAX: Duration = Duration::from_millis(20);

/// What a run sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Records that were taken whole, by the kernel or the writer. A peer that left may not have read the last ones.
    pub records: u64,
    /// Bytes taken, those of a cut line included.
    pub bytes: u64,
    /// From the first moment there was somebody to send to, until the last record was taken; waiting for the next
    /// client after one left does not count.
    pub elapsed: Duration,
    /// How the run ended.
    pub end: End,
    /// Lines that were cut in their middle because a peer left, or stalled at the end.
    pub cut: u64,
    /// The exact answer for the records sent.
    pub expectation: Expectation,
    /// How late records were; with a rate only.
    pub latency: Option<Latency>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As planned.
    Complete,
    /// The stop flag was set.
    Stopped,
    /// The only peer left.
    PeerClosed,
}

/// The state of a run.
struct Run<'a, O> {
    outlet: &'a mut O,
    generator: Generator,
    block: Vec<u8>,
    bytes: u64,
    cut: u64,
    /// Where the time of the schedule starts; moved on by the time spent without a peer.
    start: Instant,
}

/// Sends the generator's records to the outlet, as planned.
pub(crate) fn send<O: Outlet>(
    generator: Generator,
    plan: &Plan,
    outlet: &mut O,
    stop: &AtomicBool,
) -> io::Result<Sent> {
    let start = Instant::now();
    let mut run = Run {
        outlet,
        generator,
        block: vec![0; BLOCK_BYTES],
        bytes: 0,
        cut: 0,
        start,
    };
    let mut recorder = plan.rate.map(|_| Recorder::new());
    let mut end = End::Stopped;
    let mut elapsed = Duration::ZERO;
    if run.outlet.ready(&Halt {
        stop,
        deadline: None,
    })? {
        run.start = Instant::now();
        end = match (plan.rate, &mut recorder) {
            (Some(rate), Some(recorder)) => run.paced(Schedule::new(rate), recorder, plan, stop)?,
            _ => run.unpaced(plan, stop)?,
        };
        elapsed = run.start.elapsed();
    }
    run.outlet.finish()?;
    Ok(Sent {
        records: run.generator.position(),
        bytes: run.bytes,
        elapsed,
        end,
        cut: run.cut,
        expectation: run.generator.into_expectation(),
        latency: recorder.map(|recorder| recorder.report()),
    })
}

impl<O: Outlet> Run<'_, O> {
    /// As fast as the outlet takes it.
    fn unpaced(&mut self, plan: &Plan, stop: &AtomicBool) -> io::Result<End> {
        let records_max = plan.records_max().unwrap_or(u64::MAX);
        let mut halt = Halt {
            stop,
            deadline: None,
        };
        while self.generator.position() < records_max {
            if let Limit::Time(time) = plan.limit {
                halt.deadline = self.start.checked_add(time);
            }
            if halt.asked() {
                return Ok(self.halted(&halt));
            }
            match self.block(records_max - self.generator.position(), &halt)? {
                TakenEnd::Complete => {}
                TakenEnd::Halted => return Ok(self.halted(&halt)),
                TakenEnd::PeerGone => {
                    if !self.await_peer(&halt)? {
                        return Ok(self.unpeered(&halt));
                    }
                }
            }
        }
        Ok(End::Complete)
    }

    /// Each record at its time, or as soon after it as the outlet takes it.
    fn paced(
        &mut self,
        schedule: Schedule,
        recorder: &mut Recorder,
        plan: &Plan,
        stop: &AtomicBool,
    ) -> io::Result<End> {
        let records_max = plan.records_max().unwrap_or(u64::MAX);
        let halt = Halt {
            stop,
            deadline: None,
        };
        while self.generator.position() < records_max {
            if halt.asked() {
                return Ok(End::Stopped);
            }
            let first = self.generator.position();
            let now = self.start.elapsed();
            let due = schedule.due_by(now).min(records_max);
            if due <= first {
                let wake_for = (first + schedule.tick_records() - 1).min(records_max - 1);
                sleep(schedule.due(wake_for).saturating_sub(now).min(NAP_MAX));
                continue;
            }
            let end = self.block((due - first).min(schedule.write_records_max()), &halt)?;
            recorder.record(
                schedule,
                first,
                self.generator.position() - first,
                self.start.elapsed(),
            );
            match end {
                TakenEnd::Complete => {}
                TakenEnd::Halted => return Ok(End::Stopped),
                TakenEnd::PeerGone => {
                    if !self.await_peer(&halt)? {
                        return Ok(self.unpeered(&halt));
                    }
                }
            }
        }
        Ok(End::Complete)
    }

    /// Generates at most `records_max` records and offers them. What is not taken is taken back.
    fn block(&mut self, records_max: u64, halt: &Halt<'_>) -> io::Result<TakenEnd> {
        let Filled { records, bytes } = self.generator.fill_slice(&mut self.block, records_max);
        let block = &self.block[..bytes];
        let taken = self.outlet.offer(block, halt)?;
        self.bytes += taken.bytes as u64;
        if taken.bytes < bytes {
            let whole = memchr::memchr_iter(b'\n', &block[..taken.bytes]).count() as u64;
            let at_line_start = taken.bytes == 0 || block[taken.bytes - 1] == b'\n';
            self.cut += u64::from(!at_line_start);
            self.generator.rewind(records - whole);
        }
        Ok(taken.end)
    }

    /// Waits for the next peer; the schedule waits too.
    fn await_peer(&mut self, halt: &Halt<'_>) -> io::Result<bool> {
        let gone = Instant::now();
        // The deadline moves with the start, so only the flag ends this waiting.
        let come = self.outlet.ready(&Halt {
            stop: halt.stop,
            deadline: None,
        })?;
        self.start += gone.elapsed();
        Ok(come)
    }

    fn halted(&self, halt: &Halt<'_>) -> End {
        if (Halt {
            stop: halt.stop,
            deadline: None,
        })
        .asked()
        {
            End::Stopped
        } else {
            End::Complete
        }
    }

    fn unpeered(&self, halt: &Halt<'_>) -> End {
        if (Halt {
            stop: halt.stop,
            deadline: None,
        })
        .asked()
        {
            End::Stopped
        } else {
            End::PeerClosed
        }
    }
}
