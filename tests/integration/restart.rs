//! `--state`: killed at any instant and started again, nothing is lost and nothing doubled.
//!
//! The kills are those of `tools/torture`, which does many more.

use std::path::PathBuf;

use torture::Options;

fn options(seed: u64, kills: u32) -> Options {
    Options {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_tallyline")),
        seed,
        kills,
    }
}

#[test]
fn files_and_archives_are_exact_after_kills() {
    torture::finished(&options(fastrand::u64(..1 << 32), 15)).unwrap();
}

#[test]
fn followed_and_rotated_files_are_exact_after_kills() {
    torture::growing(&options(fastrand::u64(..1 << 32), 15)).unwrap();
}

#[test]
fn the_files_of_a_folder_are_exact_after_kills() {
    torture::appearing(&options(fastrand::u64(..1 << 32), 10)).unwrap();
}
