//! An outlet on a thread of its own, so that its courier waits for it no longer than it wants to.
//!
//! Fed by the [`Courier`](super::Courier) with one thing to do at a time; feeds back what came of it. Some outlets cannot be
//! hurried: a server that is frozen, a disk behind a network that is gone, a name that nobody resolves. When a run is over
//! and `--to-drain` with it, the courier says that the attempt is of no use any more ([`Cut`]), waits a moment for who
//! listens to that, and then leaves porter and outlet to themselves. What that leaves behind is what a killed process does,
//! which every outlet has to survive anyway.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::outlet::{Cut, Outlet, Receipt, Refusal};
use super::parcel::Parcel;

/// What an outlet is to do.
pub(super) enum Task {
    /// Make ready for this parcel; where it stands now is the receipt's mark.
    Begin(Arc<Parcel>),
    /// Take it.
    Deliver(Arc<Parcel>),
}

/// What came of it; when there is nothing more to do, what came of that.
type Answer = Result<Receipt, Refusal>;

/// How long an attempt has that is told to end.
const CUT_WAIT: Duration = Duration::from_secs(1);

/// The thread's side.
pub struct Porter {
    // Dropped before the channel's end, which the courier waits for.
    outlet: Box<dyn Outlet>,
    cut: Cut,
    tasks: Receiver<Task>,
    answers: SyncSender<Answer>,
}

/// The courier's side.
pub struct Hatch {
    tasks: SyncSender<Task>,
    answers: Receiver<Answer>,
    cut: Cut,
}

impl Porter {
    /// A porter for this outlet, and how its courier speaks to it.
    pub fn new(outlet: Box<dyn Outlet>) -> (Porter, Hatch) {
        // One at a time.
        let (to_porter, tasks) = sync_channel(1);
        let (answers, from_porter) = sync_channel(1);
        let cut = Cut::default();
        let hatch = Hatch {
            tasks: to_porter,
            answers: from_porter,
            cut: cut.clone(),
        };
        let porter = Porter {
            outlet,
            cut,
            tasks,
            answers,
        };
        (porter, hatch)
    }

    /// Has the outlet do what it is to do until the courier wants nothing more.
    pub fn run(mut self) {
        while let Ok(task) = self.tasks.recv() {
            let answer = match task {
                Task::Begin(parcel) => self.outlet.begin(&parcel).map(|mark| Receipt {
                    mark,
                    ..Receipt::default()
                }),
                Task::Deliver(parcel) => self.outlet.deliver(&parcel, &self.cut),
            };
            if self.answers.send(answer).is_err() {
                // Nobody waits any more, and nothing is to be brought to an end.
                return;
            }
        }
        if !self.cut.is_cut() {
            let finished = self.outlet.finish().map(|()| Receipt::default());
            drop(self.answers.send(finished));
        }
    }
}

impl Hatch {
    /// Has the outlet do something; `tick` is called now and then meanwhile, and says whether to go on. `None`: it was not
    /// waited for.
    pub(super) fn hand(
        &self,
        task: Task,
        slice: Duration,
        mut tick: impl FnMut() -> bool,
    ) -> Option<Answer> {
        let sent = self.tasks.send(task);
        sent.expect("the porter lives as long as the courier, and a panic ends the program");
        loop {
            match self.answers.recv_timeout(slice) {
                Ok(answer) => return Some(answer),
                Err(RecvTimeoutError::Timeout) if tick() => {}
                Err(_) => {
                    self.cut.cut();
                    // It may just have been taken; why not does not matter any more.
                    let answer = self.answers.recv_timeout(CUT_WAIT).ok();
                    return answer.filter(Result::is_ok);
                }
            }
        }
    }

    /// Brings the outlet to its end, and waits until it is gone.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        drop(self.tasks);
        let finished = self.answers.recv();
        // Until the porter has dropped its end.
        drop(self.answers.recv());
        finished.map_or(Ok(()), |finished| finished.map(drop))
    }
}
