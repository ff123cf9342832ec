//! Runs the whole pipeline on virtual time, disturbed from a seed, and checks what must hold.
//!
//! A `Scenario` is drawn from a seed: what is asked of records, how many threads there
//! are, how small chunks and the pool are, which sources there are and what they bring. It is lived through in
//! one or several *lives* (`life`), each a run of the real pipeline in this process, which goes on from the
//! state of the one before:
//!
//! - sources stall, are cut anywhere, break off within a line, begin the line anew; and when a life's saving
//!   failed from some step of some transaction on, as it does for a process that is killed there, the next life
//!   is sent what was counted and not saved once more (`layout`, `topic`);
//! - threads are held up where they pass a queue, sleep or wake another, and the disk is full, fails or is
//!   busy at any step of a save (`tallyline::faults`);
//! - the clock stands still while there is something to read, so that every batch is known beforehand; or it
//!   runs on whenever anybody looks at it, so that boundaries fall anywhere.
//!
//! What the sink saw, what the state holds and what the model (`check`) says must be the same. The model is
//! slow and simple: the oracle's verdict on each line, in a map. Of windows by the records' own time it is `timed`.
//!
//! A seed repeats the input and what is done to the threads and the disk. When the system lets which thread run
//! is not of our making, so a failure may need a few runs of its seed to come again.

#[cfg(feature = "simulation")]
mod check;
#[cfg(feature = "simulation")]
mod layout;
#[cfg(feature = "simulation")]
mod life;
#[cfg(feature = "simulation")]
mod scenario;
#[cfg(feature = "simulation")]
mod seen;
#[cfg(feature = "simulation")]
mod timed;
#[cfg(feature = "simulation")]
mod topic;

#[cfg(feature = "simulation")]
pub use life::{Lived, live};
