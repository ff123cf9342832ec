//! tallyline counts the records of a live stream by key.

pub mod record;
pub mod oracle;
pub mod sink;
pub mod key;
pub mod ledger;
pub mod clock;
pub mod summary;
