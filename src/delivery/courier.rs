//! The thread of a sink: parcels out of what waits, one after the other, until each is taken.
//!
//! It waits for its sink alone, and nobody in the counting waits for it. A failure is told when it begins, when it
//! changes and when it is over, however often it comes.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::figures::{Figures, batches};
use super::outlet::{Receipt, Refusal};
use super::parcel::Parcel;
use super::porter::{Hatch, Task};
use super::queue::Queue;
use crate::clock::Clock;
use crate::reader::Stop;
use crate::sink::text;
use crate::state::Spooled;

/// The first pause after a failure; each further one is twice as long, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// The longest pause that a sink may ask for.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(300);

/// How often a pause is interrupted, to see whether the run is over.
const SLICE: Duration = Duration::from_millis(50);

/// Where a courier gets its parcels from.
pub enum Feed {
    /// Memory.
    Queue(Arc<Queue>),
    /// The state file.
    Spool(Spooled),
}

impl Feed {
    fn adopt(&self) {
        match self {
            Feed::Queue(queue) => queue.courier.adopt(),
            Feed::Spool(spool) => spool.adopt(),
        }
    }

    fn next(&mut self) -> Result<Option<Arc<Parcel>>, Refusal> {
        match self {
            Feed::Queue(queue) => Ok(queue.next()),
            Feed::Spool(spool) => spool.next(),
        }
    }

    /// The sink stands there before it takes anything. `false`: that cannot be saved any more.
    fn note(&self, mark: String) -> bool {
        match self {
            Feed::Queue(_) => true,
            Feed::Spool(spool) => spool.note(mark),
        }
    }

    fn done(&mut self, parcel: &Parcel, mark: Option<String>) {
        match self {
            Feed::Queue(queue) => queue.done(),
            Feed::Spool(spool) => spool.done(parcel.batch(), mark),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Feed::Queue(queue) => queue.is_over(),
            Feed::Spool(spool) => spool.is_over(),
        }
    }
}

/// Carries parcels to one sink.
pub struct Courier {
    /// Where they come from.
    pub feed: Feed,
    /// Where they go.
    pub hatch: Hatch,
    /// What became of them.
    pub figures: Arc<Figures>,
    /// How long it goes on trying when the run is over.
    pub drain: Duration,
    /// Whether the run is being stopped.
    pub stop: Stop,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Courier {
    /// Carries until nothing follows, or the run is over and the sink takes nothing for too long.
    pub fn run(mut self) {
        self.feed.adopt();
        let mut trouble = Trouble {
            told: self.figures.outcome().last_error,
            ..Trouble::default()
        };
        loop {
            match self.feed.next() {
                Ok(Some(parcel)) => {
                    if !self.carry(&parcel, &mut trouble) {
                        return self.give_up(&trouble);
                    }
                }
                Ok(None) => break,
                Err(refusal) => {
                    if !self.again(&refusal, &mut trouble) {
                        return self.give_up(&trouble);
                    }
                }
            }
        }
        if let Err(refusal) = self.hatch.finish() {
            self.figures.refuse(&refusal.to_string());
            tracing::error!("{}: {refusal}", self.figures.name);
        }
    }

    /// Hands a parcel over until it is taken or will never be. `false`: time is up.
    fn carry(&mut self, parcel: &Arc<Parcel>, trouble: &mut Trouble) -> bool {
        loop {
            let Some(answer) = self.attempt(parcel, trouble) else {
                return false;
            };
            match answer {
                Ok(Receipt { rows, mark }) => {
                    self.figures.took(rows);
                    self.figures.came(parcel.end());
                    self.feed.done(parcel, mark);
                    trouble.end(&self.figures.name);
                    return true;
                }
                Err(Refusal::Never(text)) => {
                    self.figures.refuse(&text);
                    self.figures.came(parcel.end());
                    tracing::error!(
                        "{}: batch {} is not taken and passed over: {text}",
                        self.figures.name,
                        parcel.batch()
                    );
                    self.feed.done(parcel, None);
                    return true;
                }
                Err(refusal) => {
                    if !self.again(&refusal, trouble) {
                        return false;
                    }
                }
            }
        }
    }

    /// One attempt. `None`: it could not be waited for.
    fn attempt(
        &self,
        parcel: &Arc<Parcel>,
        trouble: &mut Trouble,
    ) -> Option<Result<Receipt, Refusal>> {
        let made_ready = self.hand(Task::Begin(Arc::clone(parcel)), trouble)?;
        match made_ready {
            Ok(Receipt {
                mark: Some(mark), ..
            }) if !self.feed.note(mark.clone()) => None,
            Ok(_) => self.hand(Task::Deliver(Arc::clone(parcel)), trouble),
            refused => Some(refused),
        }
    }

    /// Has the outlet do something. One that has not failed before has all the time that its own limits give; one that
    /// has is not waited for beyond the drain (`None`).
    fn hand(&self, task: Task, trouble: &mut Trouble) -> Option<Result<Receipt, Refusal>> {
        let mut last = self.clock.now();
        let mut tick = || {
            let now = self.clock.now();
            trouble.count(
                self.feed.is_over(),
                Duration::from_nanos(now.nanos_since(last)),
            );
            last = now;
            self.tell_stopped();
            trouble.pause.is_none() || !self.is_drained(trouble)
        };
        let answer = self.hatch.hand(task, SLICE, &mut tick);
        tick();
        answer
    }

    /// Whether the run is over, and the sink has failed for long enough since.
    fn is_drained(&self, trouble: &Trouble) -> bool {
        self.feed.is_over() && trouble.drained >= self.drain
    }

    fn tell_stopped(&self) {
        if let Feed::Spool(spool) = &self.feed
            && self.stop.is_stopped()
        {
            spool.tell_stopped();
        }
    }

    /// Pauses before the next attempt. `false`: there is to be none.
    fn again(&self, refusal: &Refusal, trouble: &mut Trouble) -> bool {
        self.figures.failed(&refusal.to_string());
        let pause = trouble.next(refusal);
        if trouble.is_news(refusal) {
            tracing::warn!(
                "{}: {refusal}; tried again, counting goes on",
                self.figures.name
            );
        }
        let mut left = pause;
        while !left.is_zero() {
            if self.is_drained(trouble) {
                return false;
            }
            let slice = left.min(SLICE);
            // Unparked early, it only tries early.
            thread::park_timeout(slice);
            left -= slice;
            trouble.count(self.feed.is_over(), slice);
            self.tell_stopped();
        }
        true
    }

    fn give_up(self, trouble: &Trouble) {
        let waited = text::duration(u64::try_from(trouble.drained.as_nanos()).unwrap_or(u64::MAX));
        match &self.feed {
            Feed::Queue(queue) => {
                let lost = queue.give_up();
                self.figures.lose(lost);
                tracing::error!(
                    "{}: given up after {waited} (--to-drain): {} lost; with --state the next run would have them",
                    self.figures.name,
                    batches(lost)
                );
            }
            Feed::Spool(spool) => {
                let waiting = spool.waiting();
                self.figures.wait(waiting);
                if spool.is_cut() {
                    // That nothing can be saved has been told.
                    return;
                }
                tracing::warn!(
                    "{}: given up after {waited} (--to-drain): {} waiting in the state for the next run",
                    self.figures.name,
                    batches(waiting)
                );
            }
        }
    }
}

/// A row of failures.
#[derive(Debug, Default)]
struct Trouble {
    /// What was told last, be it at the start, when nothing had been tried.
    told: Option<String>,
    /// The last one; there is one in each row.
    pause: Option<Duration>,
    /// How long the sink has failed since the run was over.
    drained: Duration,
}

impl Trouble {
    fn next(&mut self, refusal: &Refusal) -> Duration {
        let pause = self
            .pause
            .map_or(PAUSE_MIN, |pause| PAUSE_MAX.min(pause * 2));
        self.pause = Some(pause);
        // Couriers of many programs must not come back all at once.
        let pause = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
        match refusal {
            Refusal::Later(_, Some(asked)) => pause.max(*asked).min(ASKED_PAUSE_MAX),
            _ => pause,
        }
    }

    fn is_news(&mut self, refusal: &Refusal) -> bool {
        let text = refusal.to_string();
        let is_news = self.told.as_ref() != Some(&text);
        self.told = Some(text);
        is_news
    }

    fn count(&mut self, is_over: bool, time: Duration) {
        if is_over {
            self.drained += time;
        }
    }

    fn end(&mut self, name: &str) {
        if self.told.take().is_some() {
            tracing::warn!("{name}: takes results again");
        }
        self.pause = None;
        self.drained = Duration::ZERO;
    }
}
