//! A stream from bytes to totals, against the oracle. The first bytes say how it is dealt out to
//! reads, chunks, parsers, shards and batches, and the first of all what is asked of its records.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tallyline::framing::check::check_stream;
use tallyline::record::Query;
use tallyline::record::samples::queries;

static QUERIES: LazyLock<Vec<Query>> = LazyLock::new(queries);

fuzz_target!(|input: &[u8]| {
    if let Some((pick, input)) = input.split_first() {
        check_stream(&QUERIES[usize::from(*pick) % QUERIES.len()], input);
    }
});
