//! One line, judged by the parser and by the oracle. The first byte picks the query.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tallyline::record::Query;
use tallyline::record::check::check_line;
use tallyline::record::samples::queries;

static QUERIES: LazyLock<Vec<Query>> = LazyLock::new(queries);

fuzz_target!(|input: &[u8]| {
    if let Some((pick, line)) = input.split_first() {
        check_line(&QUERIES[usize::from(*pick) % QUERIES.len()], line);
    }
});
