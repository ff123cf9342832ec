//! The text of a key path: it parses or fails, prints as itself, and finds what it names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallyline::record::check::check_path;

fuzz_target!(|text: &str| check_path(text));
