//! A stream from bytes to totals, against the oracle. The first bytes say how it is dealt out to
//! reads, chunks, parsers, shards and batches.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tallyline::framing::check::check_stream;
use tallyline::record::KeyPath;

static STATUS: LazyLock<KeyPath> =
    LazyLock::new(|| KeyPath::parse("status").expect("a plain name is a path"));

fuzz_target!(|input: &[u8]| check_stream(&STATUS, input));
