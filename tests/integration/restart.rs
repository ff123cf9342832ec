//! `--state`: killed at any instant and started again, nothing is lost and nothing doubled.
//!
//! The kills are those of `tools/torture`, which does many more.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;

use tallyline::clock::{SystemClock, Timestamp};
use tallyline::error::Error;
use tallyline::extent::Extent;
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::sink::{OutputFormat, SinkOptions};
use tallyline::source::{Read, Readiness, Script, ScriptEvent, Source};
use tallyline::state::{Look, Meaning, State};
use torture::Options;

use crate::support::settings;

fn options(seed: u64, kills: u32) -> Options {
    Options {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_tallyline")),
        seed,
        kills,
        has_fault_points: false,
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

#[test]
fn windows_by_event_time_are_exact_after_kills() {
    torture::timed(&options(fastrand::u64(..1 << 32), 15)).unwrap();
}

#[test]
fn what_a_file_has_in_the_end_is_what_was_counted_whatever_was_killed() {
    torture::delivered(&options(fastrand::u64(..1 << 32), 15)).unwrap();
}

/// A file that is shorter than it says.
struct Short(Option<Extent>);

impl Source for Short {
    fn name(&self) -> &str {
        "short"
    }

    fn register(&mut self, _: &Readiness<'_>) -> std::io::Result<()> {
        Ok(())
    }

    fn read(&mut self, _: &mut [u8], _: &Readiness<'_>, _: Timestamp) -> Read {
        self.0.take().map_or(Read::Finished, Read::Extent)
    }
}

/// Counts a source into a state.
fn count(state: State, settings: Settings, source: Box<dyn Source>) -> Result<(), Error> {
    let sink = OutputFormat::None.sink(std::io::sink(), SinkOptions::default());
    let pipeline = Pipeline::new(settings, vec![source], vec![sink], Arc::new(SystemClock));
    let (_, result) = pipeline.unwrap().with_state(state).run().unwrap();
    result
}

#[test]
fn a_batch_that_lacks_what_could_not_be_read_is_not_saved() {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("file");
    fs::write(&path, "{\"status\":\"a\"}\n").unwrap();
    let short = Short(Some(Extent {
        name: "file".into(),
        file: Arc::new(File::open(&path).unwrap()),
        begin: 0,
        start: 0,
        end: 100,
        file_end: 100,
    }));
    let state = here.path().join("state.db");
    let open = || State::open(&state, &Meaning::default()).unwrap();
    let error = count(open(), settings(), Box::new(short)).unwrap_err();
    assert!(error.to_string().contains("cut short"), "{error}");
    assert_eq!(Look::open(&state).unwrap().saved().batch, 0);
}

#[test]
fn runs_add_up_whatever_the_threads_are() {
    let here = tempfile::tempdir().unwrap();
    let state = here.path().join("state.db");
    let mut lines = 0;
    for (run, shards) in [(1_u64, 1), (2, 3), (3, 2)] {
        let records = 400 * run;
        let text: String = (0..records)
            .map(|number| format!("{{\"status\":{}}}\n", number % (100 * run)))
            .collect();
        lines += records;
        let event = (Timestamp::default(), ScriptEvent::Bytes(text.into_bytes()));
        let settings = Settings {
            shards,
            ..settings()
        };
        let open = State::open(&state, &Meaning::default()).unwrap();
        count(open, settings, Box::new(Script::new([event]))).unwrap();
        let look = Look::open(&state).unwrap();
        assert_eq!(look.faults().unwrap(), Vec::<String>::new());
        assert_eq!(
            (look.saved().ledger.counted, look.totals().unwrap().keys()),
            (lines, 100 * run)
        );
    }
}
