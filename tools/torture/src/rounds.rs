//! What is done in a round.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use loadgen::{Plan, Spec};

use crate::input::{Timed, orders, packed, spec};
use crate::kills::{Done, Kills};
use crate::verdict::{check, check_arrival, check_timed, lines, oracle};

/// The flags of every run: short batches, so that there are many saves, and windows over them.
pub(crate) const FLAGS: [&str; 8] = [
    "--by=status",
    "--every=10ms",
    "--window=40ms",
    "--window=100ms/20ms",
    "--output=none",
    "--quiet",
    "--no-pin",
    "--parsers=2",
];

/// The flags of every run by event time.
const TIMED_FLAGS: [&str; 10] = [
    "--by=status",
    "--every=10ms",
    "--event-time=ts",
    "--lateness=700ms",
    "--window=1s",
    "--window=3s/500ms",
    "--output=none",
    "--quiet",
    "--no-pin",
    "--follow",
];

/// How long a run on a topic may live: to join takes a moment.
const TOPIC_LIFE_MAX: Duration = Duration::from_millis(700);

/// Records that come to a topic at a time.
const TOPIC_RECORDS: u64 = 20_000;

/// How a round is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program.
    pub binary: PathBuf,
    /// From which the input and the instants are drawn.
    pub seed: u64,
    /// How many kills there are to be, at the most.
    pub kills: u32,
    /// Whether the program was built with the feature `simulation`, so that it can be told to die within a save.
    pub has_fault_points: bool,
}

/// What went wrong, with the seed.
pub(crate) type Outcome = Result<Done, String>;

/// Counts files and an archive that do not change, killed until they are counted. Then counts them again,
/// which must add nothing.
///
/// # Errors
/// What is different from an uninterrupted run.
pub fn finished(options: &Options) -> Outcome {
    let here = folder();
    let mut oracle = oracle();
    let mut sources = Vec::new();
    for number in 0..3 {
        let bytes = orders(options.seed.wrapping_add(number), 60_000);
        oracle.count(&bytes);
        let name = here.path().join(format!("{number}.jsonl"));
        let bytes = if number == 1 { packed(&bytes) } else { bytes };
        fs::write(&name, bytes).map_err(|error| told(options, &error.to_string()))?;
        sources.push(name.display().to_string());
    }
    let state = here.path().join("state.db");
    let mut kills = Kills::new(
        &options.binary,
        &sources,
        &FLAGS,
        state.clone(),
        options.seed,
        options.has_fault_points,
    );
    let mut ended = None;
    while ended.is_none() && kills.done.kills < options.kills {
        ended = kills.kill_once();
    }
    for _ in 0..2 {
        let status = kills.finish(|| false);
        if !status.success() {
            return Err(told(options, &format!("it ended with {status}")));
        }
        check(&state, &oracle)
            .and_then(|()| check_arrival(&state))
            .map_err(|difference| told(options, &difference))?;
    }
    Ok(kills.done)
}

/// Counts a file that grows and is rotated meanwhile, killed so many times.
///
/// # Errors
/// What is different from an uninterrupted run.
pub fn growing(options: &Options) -> Outcome {
    let here = folder();
    let log = here.path().join("app.log");
    let sources = [format!("{}*", log.display())];
    let flags = [&FLAGS[..], &["--follow"]].concat();
    let state = here.path().join("state.db");
    let mut kills = Kills::new(
        &options.binary,
        &sources,
        &flags,
        state.clone(),
        options.seed,
        options.has_fault_points,
    );
    let orders = orders(options.seed, 20_000);
    let written = kill_while(options, &mut kills, |is_over| {
        write_and_rotate(&log, options.seed, true, is_over, |rng, written| {
            let begin = written % orders.len();
            let piece = rng.usize(1..200_000).min(orders.len() - begin);
            // Whole lines.
            let piece = &orders[begin..begin + piece];
            let line = piece.iter().rposition(|&byte| byte == b'\n');
            line.map_or(Vec::new(), |line| piece[..=line].to_vec())
        })
    })?;
    let mut oracle = oracle();
    oracle.count(&written);
    let wanted = oracle.ledger.lines;
    kills.finish(|| lines(&state) >= wanted);
    check(&state, &oracle)
        .and_then(|()| check_arrival(&state))
        .map_err(|difference| told(options, &difference))?;
    Ok(kills.done)
}

/// Puts the records of a file that grows into windows by their own times, killed so many times.
///
/// # Errors
/// What is different from an uninterrupted run.
pub fn timed(options: &Options) -> Outcome {
    let here = folder();
    let log = here.path().join("app.log");
    let state = here.path().join("state.db");
    let mut kills = Kills::new(
        &options.binary,
        &[log.display().to_string()],
        &TIMED_FLAGS,
        state.clone(),
        options.seed,
        options.has_fault_points,
    );
    File::create(&log).map_err(|error| told(options, &error.to_string()))?;
    let mut timed = Timed::new(options.seed);
    let written = kill_while(options, &mut kills, |is_over| {
        write_and_rotate(&log, options.seed, false, is_over, |rng, _| {
            timed.lines(rng.usize(1..600))
        })
    })?;
    let mut oracle = oracle();
    oracle.count(&written);
    let wanted = oracle.ledger.lines;
    kills.finish(|| lines(&state) >= wanted);
    check(&state, &oracle)
        .and_then(|()| check_timed(&state, &timed))
        .map_err(|difference| told(options, &difference))?;
    Ok(kills.done)
}

/// Kills again and again while `write` goes on, until it is told to end. Returns what was written.
fn kill_while(
    options: &Options,
    kills: &mut Kills,
    write: impl FnOnce(&AtomicBool) -> io::Result<Vec<u8>> + Send,
) -> Result<Vec<u8>, String> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(&is_over));
        let mut ended = None;
        while ended.is_none() && kills.done.kills < options.kills {
            ended = kills.kill_once();
        }
        // Relaxed: nothing but the flag is told.
        is_over.store(true, Ordering::Relaxed);
        let written = writer.join().expect("the writer does not panic");
        match ended {
            Some(status) => Err(told(options, &format!("it ended with {status}"))),
            None => written.map_err(|error| told(options, &error.to_string())),
        }
    })
}

/// Counts files that appear in a folder, killed so many times.
///
/// # Errors
/// What is different from an uninterrupted run.
pub fn appearing(options: &Options) -> Outcome {
    let here = folder();
    let incoming = here.path().join("in");
    let io = |error: io::Error| told(options, &error.to_string());
    fs::create_dir(&incoming).map_err(io)?;
    let state = here.path().join("state.db");
    let sources = [format!("{}/", incoming.display())];
    let mut kills = Kills::new(
        &options.binary,
        &sources,
        &FLAGS,
        state.clone(),
        options.seed,
        options.has_fault_points,
    );
    let mut oracle = oracle();
    let mut number = 0;
    while kills.done.kills < options.kills {
        for _ in 0..2 {
            let bytes = orders(options.seed.wrapping_add(number), 4_000);
            oracle.count(&bytes);
            let name = format!("{number}.jsonl");
            fs::write(here.path().join(&name), bytes).map_err(io)?;
            fs::rename(here.path().join(&name), incoming.join(&name)).map_err(io)?;
            number += 1;
        }
        if let Some(status) = kills.kill_once() {
            return Err(told(options, &format!("it ended with {status}")));
        }
    }
    let wanted = oracle.ledger.lines;
    kills.finish(|| lines(&state) >= wanted);
    check(&state, &oracle)
        .and_then(|()| check_arrival(&state))
        .map_err(|difference| told(options, &difference))?;
    Ok(kills.done)
}

/// Counts a topic, which `fill` puts the first so many records of a stream into, one stream after the other.
///
/// # Errors
/// What is different from an uninterrupted run.
pub fn topic(
    options: &Options,
    url: &str,
    mut fill: impl FnMut(&Spec, &Plan) -> Result<(), String>,
) -> Outcome {
    let here = folder();
    let state = here.path().join("state.db");
    let sources = [url.to_owned()];
    let mut kills = Kills::new(
        &options.binary,
        &sources,
        &FLAGS,
        state.clone(),
        options.seed,
        options.has_fault_points,
    )
    .with_life(TOPIC_LIFE_MAX);
    let mut oracle = oracle();
    for number in 0.. {
        if number > 0 && kills.done.kills >= options.kills {
            break;
        }
        let seed = options.seed.wrapping_add(number);
        fill(&spec(seed), &Plan::records(TOPIC_RECORDS))?;
        oracle.count(&orders(seed, TOPIC_RECORDS));
        for _ in 0..5.min(options.kills - kills.done.kills) {
            if let Some(status) = kills.kill_once() {
                return Err(told(options, &format!("it ended with {status}")));
            }
        }
    }
    let wanted = oracle.ledger.lines;
    kills.finish(|| lines(&state) >= wanted);
    check(&state, &oracle)
        .and_then(|()| check_arrival(&state))
        .map_err(|difference| told(options, &difference))?;
    Ok(kills.done)
}

/// Appends the pieces of lines that `next` makes, which is told how much there is already, until it is told to end, and
/// gives the file another name now and then if it `rotates`. Returns all that was written.
fn write_and_rotate(
    log: &Path,
    seed: u64,
    rotates: bool,
    is_over: &AtomicBool,
    mut next: impl FnMut(&mut fastrand::Rng, usize) -> Vec<u8>,
) -> io::Result<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut written = Vec::new();
    let mut rotations = 0;
    while !is_over.load(Ordering::Relaxed) {
        let mut file = File::options().append(true).create(true).open(log)?;
        let piece = next(&mut rng, written.len());
        // Torn by the writes.
        for torn in piece.chunks(rng.usize(50..5_000)) {
            file.write_all(torn)?;
        }
        written.extend_from_slice(&piece);
        if rotates && rng.u8(..4) == 0 {
            // Older ones move on, as logrotate has it.
            for age in (1..=rotations).rev() {
                fs::rename(aged(log, age), aged(log, age + 1))?;
            }
            fs::rename(log, aged(log, 1))?;
            rotations += 1;
        }
        thread::sleep(Duration::from_millis(rng.u64(1..40)));
    }
    Ok(written)
}

fn aged(log: &Path, age: u32) -> PathBuf {
    PathBuf::from(format!("{}.{age}", log.display()))
}

pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder for scratch files")
}

pub(crate) fn told(options: &Options, what: &str) -> String {
    format!("seed {}: {what}", options.seed)
}
