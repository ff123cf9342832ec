//! Lives through many seeds, several at once, and says what came of it.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{panic, process, thread};

use clap::Parser;
use simulation::{Lived, live};

/// Simulations at once, for each core: most of their threads sleep most of the time.
const PER_CORE: usize = 2;

/// A simulation that takes longer stands still.
const STANDSTILL: Duration = Duration::from_secs(120);

/// Run tallyline's whole pipeline on virtual time, disturbed from a seed, and check what must hold.
///
/// Its files go to the folder for temporary ones (TMPDIR), which should be in memory: /dev/shm.
#[derive(Debug, Parser)]
#[command(
    name = "simulation",
    version,
    after_help = "Example: simulation --seed 1234 --seeds 1"
)]
struct Args {
    /// How many seeds.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    seeds: u64,
    /// The first of them. [default: any]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// What all threads share.
struct Shared {
    next: AtomicU64,
    last: u64,
    has_failed: AtomicBool,
    lived: Mutex<Lived>,
    /// What is under way: a seed, and since when.
    under_way: Vec<Mutex<Option<(u64, Instant)>>>,
}

#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for people"
)]
fn main() -> ExitCode {
    let args = Args::parse();
    tell_the_seed_of_a_panic();
    let first = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let shared = Arc::new(Shared {
        next: AtomicU64::new(first),
        last: first.saturating_add(args.seeds),
        has_failed: AtomicBool::new(false),
        lived: Mutex::default(),
        under_way: (0..cores * PER_CORE).map(|_| Mutex::default()).collect(),
    });
    let begun = Instant::now();
    let workers: Vec<_> = (0..cores * PER_CORE)
        .map(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || work(number, &shared))
        })
        .collect();
    while !workers.iter().all(|worker| worker.is_finished()) {
        thread::sleep(Duration::from_millis(20));
        stop_at_a_standstill(&shared);
    }
    for worker in workers {
        worker
            .join()
            .expect("a worker that panics ends the program");
    }
    if shared.has_failed.load(Ordering::Relaxed) {
        return ExitCode::FAILURE;
    }
    let lived = *shared.lived.lock().expect("no holder panics");
    println!(
        "{} seeds from {first} on, in {} s: {} runs, {} of them not saved to their end, {} batches, {} lines: nothing lost, nothing doubled",
        args.seeds,
        begun.elapsed().as_secs(),
        lived.lives,
        lived.unsaved,
        lived.batches,
        lived.lines,
    );
    ExitCode::SUCCESS
}

#[allow(clippy::print_stderr, reason = "a tool for people")]
fn work(number: usize, shared: &Shared) {
    while !shared.has_failed.load(Ordering::Relaxed) {
        // Relaxed: the number orders nothing.
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed >= shared.last {
            return;
        }
        *shared.under_way[number].lock().expect("no holder panics") = Some((seed, Instant::now()));
        let folder = tempfile::tempdir().expect("a folder for temporary files");
        match live(seed, folder.path()) {
            Ok(lived) => shared.lived.lock().expect("no holder panics").add(lived),
            Err(why) => {
                shared.has_failed.store(true, Ordering::Relaxed);
                eprintln!("simulation: seed {seed}: {why}\n--seed {seed} --seeds 1 repeats it");
            }
        }
        *shared.under_way[number].lock().expect("no holder panics") = None;
    }
}

/// A thread of the pipeline that panics ends the program: its seed must be told before.
#[allow(clippy::print_stderr, reason = "a tool for people")]
fn tell_the_seed_of_a_panic() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        if let Some(seed) = tallyline::faults::seed() {
            eprintln!("simulation: seed {seed} panics; --seed {seed} --seeds 1 repeats it");
        }
    }));
}

/// Ends the program if a simulation does not move any more.
#[allow(clippy::print_stderr, reason = "a tool for people")]
fn stop_at_a_standstill(shared: &Shared) {
    for under_way in &shared.under_way {
        let under_way = *under_way.lock().expect("no holder panics");
        if let Some((seed, since)) = under_way
            && since.elapsed() > STANDSTILL
        {
            eprintln!("simulation: seed {seed} stands still; --seed {seed} --seeds 1 repeats it");
            process::exit(1);
        }
    }
}
