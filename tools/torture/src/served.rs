//! What servers have in the end, whatever was killed, or stood still for a moment: the program, or they.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::Duration;

use tallyline::oracle::Oracle;

use crate::input::orders;
use crate::kills::Kills;
use crate::rounds::{Options, Outcome, folder, told};
use crate::server::Server;
use crate::verdict::{check, lines, oracle};

/// The flags of every run: batches that are short, but not shorter than a transaction takes, or the last run would have
/// all the others' to deliver.
const FLAGS: [&str; 6] = [
    "--by=status",
    "--every=50ms",
    "--output=none",
    "--quiet",
    "--no-pin",
    "--parsers=2",
];

/// How long a run may live: to connect takes a moment.
const LIFE_MAX: Duration = Duration::from_millis(900);

/// Records that appear for a run.
const RECORDS: u64 = 3_000;

/// How long a run that ends goes on trying, as a server may just then be on its way up.
const DRAIN: &str = "--to-drain=60s";

/// How many of a hundred kills of a server let it stand still for a moment instead.
const FREEZES_PERCENT: u8 = 30;

/// Where results go, and what is there.
pub trait Place {
    /// The sink, as `--to` takes it.
    fn sink(&self) -> String;

    /// What a program needs in its environment.
    fn environment(&self) -> Option<(&'static str, String)> {
        None
    }

    /// What is there now.
    ///
    /// # Errors
    /// If it cannot be read, or something is there twice.
    fn look(&self) -> Result<Found, String>;

    /// Its server, if it may be killed.
    fn server(&self) -> Option<&Server>;

    /// How many of a hundred kills are the server's.
    fn server_kills_percent(&self) -> u8;
}

/// What is at a place.
#[derive(Debug, Default)]
pub struct Found {
    /// The numbers of the batches that are there.
    pub batches: Vec<u64>,
    /// What their rows come to: by the key, as JSON.
    pub counts: BTreeMap<String, u64>,
}

/// Counts files that appear in a folder into one place, killed so many times, program and server in turn. It is to
/// have every batch once.
///
/// # Errors
/// What is different from an uninterrupted run.
pub fn served(options: &Options, place: &dyn Place) -> Outcome {
    let here = folder();
    let io = |error: io::Error| told(options, &error.to_string());
    let wrong = |what: String| told(options, &what);
    let incoming = here.path().join("in");
    fs::create_dir(&incoming).map_err(io)?;
    let state = here.path().join("state.db");
    let sink = format!("--to={}", place.sink());
    let job = format!("--job=torture-{}", options.seed);
    let mut kills = Kills::new(
        &options.binary,
        &[format!("{}/", incoming.display())],
        &[&FLAGS[..], &[&sink, &job, DRAIN]].concat(),
        state.clone(),
        options.seed,
        options.has_fault_points,
    )
    .with_life(LIFE_MAX)
    .with_environment(place.environment());
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let mut oracle = oracle();
    let mut number = 0;
    let mut appear = |oracle: &mut Oracle| {
        let bytes = orders(options.seed.wrapping_add(number), RECORDS);
        oracle.count(&bytes);
        let name = format!("{number}.jsonl");
        number += 1;
        fs::write(here.path().join(&name), bytes)?;
        fs::rename(here.path().join(&name), incoming.join(&name))
    };
    while kills.done.kills < options.kills {
        appear(&mut oracle).map_err(io)?;
        let server = place.server();
        let server = server.filter(|_| rng.u8(..100) < place.server_kills_percent());
        let ended = match server {
            // What it was told before it stood still it does when it goes on.
            Some(server) if rng.u8(..100) < FREEZES_PERCENT => {
                kills.kill_under(|| server.freeze(), || server.thaw())
            }
            Some(server) => kills.kill_under(|| server.kill(), || server.restart()),
            None => Ok(kills.kill_once()),
        };
        if let Some(status) = ended.map_err(wrong)? {
            return Err(told(options, &format!("it ended with {status}")));
        }
    }
    // Something to count for the last run too: one that had nothing to do would be told to end before it listens.
    appear(&mut oracle).map_err(io)?;
    let wanted = oracle.ledger.lines;
    let status = kills.finish(|| lines(&state) >= wanted);
    if !status.success() {
        return Err(told(options, &format!("it ended with {status}")));
    }
    check(&state, &oracle).map_err(wrong)?;
    place
        .look()
        .and_then(|found| compare(&found, &oracle))
        .map_err(wrong)?;
    Ok(kills.done)
}

/// Whether every batch is there, and all of them add up to what an oracle has counted.
fn compare(found: &Found, oracle: &Oracle) -> Result<(), String> {
    let mut batches = found.batches.clone();
    batches.sort_unstable();
    let wanted: Vec<u64> = (1..=batches.len() as u64).collect();
    if batches != wanted {
        let first = batches
            .iter()
            .zip(&wanted)
            .find(|(found, wanted)| found != wanted);
        return Err(format!("batches are missing or there twice: {first:?}"));
    }
    let wanted = oracle.counts.iter().map(|(key, &count)| {
        let key = serde_json::Value::from(key.as_ref().text()).to_string();
        (key, count)
    });
    match found.counts == wanted.collect() {
        true => Ok(()),
        false => Err(format!(
            "the counts of {} batches are other ones",
            batches.len()
        )),
    }
}
