//! A chunk of lines, good and bad, judged by the fast lane at each level this CPU has, by the slow
//! parser and by the oracle. The first byte picks the query.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tallyline::record::Query;
use tallyline::record::fast::check::check_chunk;
use tallyline::record::samples::queries;

static QUERIES: LazyLock<Vec<Query>> = LazyLock::new(queries);

fuzz_target!(|input: &[u8]| {
    if let Some((pick, chunk)) = input.split_first() {
        check_chunk(&QUERIES[usize::from(*pick) % QUERIES.len()], chunk);
    }
});
