//! Many streams mixed and cut as the input says, each held against itself read alone.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallyline::framers::check::check_streams;

fuzz_target!(|input: &[u8]| check_streams(input));
