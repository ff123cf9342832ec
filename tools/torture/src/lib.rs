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
//! [`delivered`] looks at what sinks (`--to`) have in the end as well; with the features `kafka` and `postgres` `served` does so
//! with a broker and a database, which are killed, too.
//!
//! [`finished`] counts files and archives that do not change, [`growing`] one that grows and is rotated while
//! it is counted, [`appearing`] those that appear in a folder, [`topic`] a Kafka topic that grows.

mod delivered;
#[cfg(feature = "postgres")]
mod database;
mod input;
mod kills;
mod rounds;
#[cfg(any(feature = "kafka", feature = "postgres"))]
mod served;
#[cfg(any(feature = "kafka", feature = "postgres"))]
mod server;
#[cfg(feature = "kafka")]
mod topic;
mod verdict;

#[cfg(feature = "postgres")]
pub use database::Database;
pub use delivered::delivered;
pub use kills::{Done, Kills};
/// For tests and benches of the program, whose own dependencies for tests cannot be optional: the synchronous client.
#[cfg(feature = "postgres")]
pub use postgres;
pub use rounds::{Options, appearing, finished, growing, timed, topic};
#[cfg(any(feature = "kafka", feature = "postgres"))]
pub use served::{Place, served};
#[cfg(any(feature = "kafka", feature = "postgres"))]
pub use server::Server;
#[cfg(feature = "kafka")]
pub use topic::Topic;
