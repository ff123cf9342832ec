//! Sleeping when there is nothing to do, and being woken: the one atomic protocol of our own.
//!
//! Every stage thread owns one [`Sleeper`]; whoever makes progress for that thread (pushes to a
//! queue it reads, pops from a queue it fills) calls [`Sleeper::wake`] afterwards. The thread looks
//! for work, spins a little, then announces its sleep, looks once more, and parks.
//!
//! No wake-up is lost. The two sides are Dekker's: the sleeper writes `asleep` and then reads the
//! queue, the waker writes the queue and then reads `asleep`, each with a `SeqCst` fence between its
//! two steps, so that at least one of them sees the other's write. `std::thread::park` and an
//! eventfd both remember a wake-up that comes before the sleep. A wake-up may be spurious.
//!
//! Proved with loom in `tools/models`, which compiles this very file.

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering, fence};

/// Ends one kind of sleep; must remember a wake-up that comes before the sleep begins.
pub trait Wake {
    /// Wakes the sleeper, now or at its next attempt to sleep.
    fn wake(&self);
}

/// A thread that can be told that there may be work for it.
#[derive(Debug)]
pub struct Sleeper<W> {
    /// True while the owner sleeps or is about to; only the owner sets it, anyone clears it.
    asleep: AtomicBool,
    wake: W,
}

impl<W: Wake> Sleeper<W> {
    /// A sleeper that is awake and is woken by `wake`.
    pub fn new(wake: W) -> Sleeper<W> {
        Sleeper {
            asleep: AtomicBool::new(false),
            wake,
        }
    }

    /// What wakes the owner.
    pub fn target(&self) -> &W {
        &self.wake
    }

    /// Tells the owner to look again; called after the work is where the owner will look.
    ///
    /// Costs a fence and a load while the owner is awake, one system call if it sleeps.
    pub fn wake(&self) {
        // Pairs with the fence in `announce`: either this load sees `asleep`, or the owner's last
        // look sees the work.
        fence(Ordering::SeqCst);
        // Relaxed: the fence orders it. The swap lets one of several wakers make the system call.
        // It may end a later sleep than the one it saw, whose announcement the fence came before;
        // Acquire: pairs with that one's Release, so that `wake` knows whom it wakes.
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Acquire) {
            self.wake.wake();
        }
    }

    /// The owner's: announces a sleep. It must look for work once more before it sleeps.
    pub fn announce(&self) {
        // Release: pairs with the swap in `wake`: what makes the owner known to `wake` came before.
        // The fence orders it before the owner's last look.
        // A swap, as in `awake`, where a store would do: loom does not know that no store comes between
        // the two halves of a waker's swap, and would let that waker overlook this announcement.
        self.asleep.swap(true, Ordering::Release);
        // Pairs with the fence in `wake`.
        fence(Ordering::SeqCst);
    }

    /// The owner's: it is awake again, or did not go to sleep.
    pub fn awake(&self) {
        // Relaxed: a waker that still sees `true` wakes in vain, which is allowed.
        self.asleep.swap(false, Ordering::Relaxed);
    }

    /// The owner's: waits until `ready` answers, sleeping by `sleep` in between.
    ///
    /// `ready` is asked `spins` times before the first sleep and after each.
    pub fn wait<T>(
        &self,
        spins: u32,
        mut ready: impl FnMut() -> Option<T>,
        mut sleep: impl FnMut(),
    ) -> T {
        loop {
            for _ in 0..spins {
                if let Some(answer) = ready() {
                    return answer;
                }
                relax();
            }
            self.announce();
            if let Some(answer) = ready() {
                self.awake();
                return answer;
            }
            sleep();
            self.awake();
        }
    }
}

#[cfg(not(loom))]
fn relax() {
    std::hint::spin_loop();
}

#[cfg(loom)]
fn relax() {
    loom::thread::yield_now();
}
