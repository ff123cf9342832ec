//! A file of settings: any bytes are settings or errors with their places, and settings that are
//! printed read the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallyline::settings::check::check_file;

fuzz_target!(|input: &[u8]| check_file(input));
