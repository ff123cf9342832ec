//! `--state FILE`: what a run must find again when it is started anew, in one SQLite database.
//!
//! Fed by the batch merge with a [`BatchChange`] for each closed batch that every sink has taken: the totals
//! that it changed, the keys that are new, the ledger, and where each source stands behind it. A thread of its
//! own ([`Stage`]) saves them in one transaction, with what the batch changed in the open windows and what the history is
//! to tell of it, so that what is counted and where to go on are never apart:
//! after a crash at any instant the next run begins behind the last batch that was saved, and counts the rest
//! of what its sources can replay once.
//!
//! Counting waits for the disk only when the saving is `--state-lag` batches behind; what waits is bounded by
//! that, and told. Batches that wait while another is saved go into one transaction. If a save fails (a full
//! disk) that is told at once, counting goes on, and every batch tries again with all that is not saved; a run
//! whose last save failed ends with an error.
//!
//! At the start ([`State::open`], [`restore`]) the keys come back into the shards' counters, with no records in
//! the open batch, and their totals into the merge's; batch numbers and the ledger go on, and each source is
//! opened where it stood. What the totals mean ([`Meaning`]) is stored too: a run that would count something
//! else into them is refused.
//!
//! What sinks (`--to`) have not taken yet waits here too ([`Spool`]), saved with the batch it is of, and so does how
//! far each of them has come.
//!
//! [`Look`] reads a state file while somebody counts into it, [`Archive`] pages of its history; [`merge`] adds several up.
//!
//! WAL mode, `synchronous = NORMAL`: the death of the process loses nothing that was saved; the death of the
//! machine may lose the last batches as a whole, which are then counted again.

mod archive;
mod change;
mod export;
mod history;
mod leaders;
mod list;
mod lock;
mod look;
mod meaning;
mod merge;
mod open;
mod restore;
mod save;
mod schema;
mod sound;
mod spool;
mod stage;
mod windows;

pub use archive::{Archive, PAGE_BYTES_MAX, Page};
pub use change::{
    BatchChange, CHANGE_BYTES, Past, PastClosed, SUM_CHANGE_BYTES, ShardChange, WindowsChange,
};
pub use export::PastKind;
pub use history::{PENDING_BYTES, PENDING_MAX, PastBatch, PastKeys, PastRow, PastWindow, ROWS_MAX};
pub use leaders::{LEADERS_MAX, Leader, Leaders};
pub use look::{Extent, Look, Run};
pub use meaning::Meaning;
pub use merge::merge;
pub use open::{CACHE_BYTES, Locked, Saved, SavedPart, State};
pub use restore::{Restored, restore};
pub use save::{Begin, KEY_BYTES, Outcome, Saver};
pub use spool::{Place, Spool, Spooled, places};
pub use stage::{SENT_MAX, Sender, Stage, connect};
pub use windows::KeptWindows;
