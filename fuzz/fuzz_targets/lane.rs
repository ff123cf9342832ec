//! A chunk of lines, good and bad, judged by the fast lane at each level this CPU has, by the slow
//! parser and by the oracle. The first byte picks the key path.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tallyline::record::KeyPath;
use tallyline::record::fast::check::check_chunk;
use tallyline::record::samples::PATHS;

static KEY_PATHS: LazyLock<Vec<KeyPath>> = LazyLock::new(|| {
    let parse = |text| KeyPath::parse(text).expect("the samples' paths are valid");
    PATHS.into_iter().map(parse).collect()
});

fuzz_target!(|input: &[u8]| {
    if let Some((pick, chunk)) = input.split_first() {
        check_chunk(&KEY_PATHS[usize::from(*pick) % KEY_PATHS.len()], chunk);
    }
});
