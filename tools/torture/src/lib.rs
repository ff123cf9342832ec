//! Kills tallyline again and again, and checks that its state is what an uninterrupted run's would be.
//!
//! A round starts the program with `--state`, lets it count for a moment, kills it with SIGKILL and starts it
//! again, until so many kills are done; then it lets it finish and compares the totals and the ledger in the
//! state with what the [oracle](tallyline::oracle) says of the input. The instants are drawn from a seed: some
//! are any instant, some a moment after the state's write-ahead log has changed, which is while a batch is
//! being saved. What the machine does in between is not of our making, so a seed repeats a round's input and
//! instants, not its every step; it is printed with every failure.
//!
//! Windows are held to the oracle too: those by arrival to the batches that the state's history tells of, those by
//! event time ([`timed`]) to the records themselves.
//! [`delivered`] looks at what sinks (`--to`) have in the end as well.
//!
//! [`finished`] counts files and archives that do not change, [`growing`] one that grows and is rotated while
//! it is counted, [`appearing`] those that appear in a folder, [`topic`] a Kafka topic that grows.

mod delivered;
mod input;
mod kills;
mod rounds;
mod verdict;

pub use delivered::delivered;
pub use kills::Kills;
pub use rounds::{Options, appearing, finished, growing, timed, topic};
