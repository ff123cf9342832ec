//! What a simulation is made of, drawn from its seed.

use std::ops::Range;

use fastrand::Rng;
use tallyline::event::EventSettings;
use tallyline::faults::DiskError;
use tallyline::pipeline::Settings;
use tallyline::record::time::TimeFormat;
use tallyline::record::{KeyPath, Query, samples};
use tallyline::source::Streams;
use tallyline::window::{WindowSettings, WindowSpec};

use crate::check::KEYS_ENOUGH;
use crate::layout::Style;

/// The first byte of a byte order mark.
const BYTE_ORDER_MARK_BYTE: u8 = 0xEF;

const MILLI: u64 = 1_000_000;

/// Longer than all lives together: a day.
const KEEP_NANOS: u64 = 24 * 3600 * 1_000 * MILLI;

/// The time of the earliest records, in milliseconds, and how much later the latest are.
pub(crate) const TIMES_MS: Range<u64> = 1_795_362_000_000..1_795_362_020_000;

/// A whole simulation.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) settings: Settings,
    /// Whether each life goes on from the one before.
    pub(crate) has_state: bool,
    /// How far the clock goes on with each look; 0: it stands still while there is something to read.
    pub(crate) step_nanos: u64,
    pub(crate) sources: Vec<Input>,
    /// At least one, the last of which is not disturbed in its end.
    pub(crate) lives: Vec<LifePlan>,
}

/// What a source brings.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// What is sent in each life; what is not saved is lost.
    Socket(Vec<Vec<Vec<u8>>>),
    /// Records with their partitions.
    Topic {
        records: Vec<(usize, Vec<u8>)>,
        partitions: usize,
    },
    /// Files, each of these lines.
    Files {
        files: Vec<Vec<Vec<u8>>>,
        in_extents: bool,
    },
}

/// What becomes of one life.
#[derive(Clone, Debug)]
pub(crate) struct LifePlan {
    /// When it begins, after the end of the one before.
    pub(crate) gap_nanos: u64,
    pub(crate) style: Style,
    /// How often of a thousand times a thread is held up.
    pub(crate) pauses_permille: u32,
    pub(crate) disk: Vec<(Range<u64>, DiskError)>,
    /// It is stopped after so many batches.
    pub(crate) stop_after: Option<usize>,
}

impl Scenario {
    pub(crate) fn draw(rng: &mut Rng) -> Scenario {
        let has_state = rng.u32(..4) > 0;
        let lives = if has_state { rng.usize(1..=4) } else { 1 };
        let settings = settings(rng, has_state);
        let runs = rng.u32(..3) == 0;
        // What was sent to a life that is killed or stopped at an unknown instant is not known.
        let may_stop = rng.bool();
        let has_sockets = !has_state || (!runs && !may_stop);
        let sources = (0..rng.usize(1..=3)).map(|_| input(rng, lives, has_sockets));
        let sources: Vec<Input> = sources.collect();
        let step_nanos = match runs {
            // A look costs so much time; with less than some dozen a batch, batches would be due faster than they are closed.
            true => settings.every_nanos / rng.u64(40..300),
            false => 0,
        };
        let plans = (1..=lives).map(|life| life_plan(rng, has_state, life == lives, may_stop));
        let mut scenario = Scenario {
            has_state,
            step_nanos,
            lives: plans.collect(),
            sources,
            settings,
        };
        let streams = Streams {
            sources: scenario.sources.len(),
            connections: 0,
            own_bytes: 0,
        };
        let more = rng.usize(..2000);
        scenario.settings.pool_bytes = scenario.settings.pool_bytes_min(streams) + more;
        scenario
    }
}

fn settings(rng: &mut Rng, has_state: bool) -> Settings {
    let every_nanos = *rng.choice(&[100, 250, 1_000, 1_700]).expect("one of them") * MILLI;
    let window = |rng: &mut Rng| {
        let slide = rng.u64(1..=3);
        WindowSpec {
            length_nanos: every_nanos * slide * rng.u64(1..=4),
            slide_nanos: every_nanos * slide,
        }
    };
    let mut windows: Vec<WindowSpec> = (0..rng.usize(..3)).map(|_| window(rng)).collect();
    windows.dedup();
    let mut queries = samples::queries();
    // A state keeps no sums.
    queries.retain(|query| query.time().is_none() && (query.sum().is_none() || !has_state));
    let path = |text| KeyPath::parse(text).expect("it is a path");
    let is_timed = !windows.is_empty() && rng.u32(..3) == 0;
    let query = match rng.bool() {
        _ if is_timed => {
            let timed = Query::from(path("status")).with_time(path("happened"), TimeFormat::Auto);
            timed.expect("two fields are not too many")
        }
        true => Query::from(path("status")),
        false => queries.swap_remove(rng.usize(..queries.len())),
    };
    let defaults = Settings::new(query);
    let covers = rng.bool();
    let event = EventSettings {
        lateness_nanos: match covers {
            true => (TIMES_MS.end - TIMES_MS.start) * MILLI,
            false => rng.u64(..5_000) * MILLI,
        },
        idle_nanos: match covers {
            true => KEEP_NANOS,
            false => rng.u64(100..5_000) * MILLI,
        },
        partial: rng.bool(),
    };
    Settings {
        every_nanos,
        parsers: rng.usize(1..=3),
        shards: rng.usize(1..=3),
        pin: false,
        chunk_bytes: rng.usize(16..2_000),
        line_bytes_max: rng.usize(40..400),
        keys_max: match rng.u32(..4) {
            0 => rng.u64(1..12),
            _ => KEYS_ENOUGH,
        },
        windows: WindowSettings {
            specs: windows,
            ..defaults.windows.clone()
        },
        event,
        state_lag: if has_state { rng.usize(1..=3) } else { 0 },
        keep_nanos: KEEP_NANOS,
        ..defaults
    }
}

fn input(rng: &mut Rng, lives: usize, has_sockets: bool) -> Input {
    match rng.u32(..4) {
        0 | 1 if has_sockets => Input::Socket((0..lives).map(|_| lines(rng, 60)).collect()),
        0..3 => {
            let partitions = rng.usize(1..=3);
            let records = lines(rng, 100).into_iter();
            let records = records.map(|line| (rng.usize(..partitions), line));
            Input::Topic {
                records: records.collect(),
                partitions,
            }
        }
        _ => Input::Files {
            files: (0..rng.usize(1..=3)).map(|_| lines(rng, 60)).collect(),
            in_extents: rng.bool(),
        },
    }
}

fn life_plan(rng: &mut Rng, has_state: bool, is_last: bool, may_stop: bool) -> LifePlan {
    let error = |rng: &mut Rng| {
        let errors = [DiskError::Full, DiskError::Io, DiskError::Busy];
        *rng.choice(&errors).expect("one of them")
    };
    let mut disk = Vec::new();
    match rng.u32(..3) {
        _ if is_last || !has_state => {}
        0 => {}
        // Killed in a save, or before it.
        1 => disk.push((rng.u64(..60)..u64::MAX, error(rng))),
        _ => {
            for _ in 0..rng.u32(1..4) {
                let from = rng.u64(..60);
                disk.push((from..from + rng.u64(1..20), error(rng)));
            }
        }
    }
    let stops = may_stop && !(is_last && has_state) && rng.u32(..3) == 0;
    LifePlan {
        gap_nanos: rng.u64(..3_000) * MILLI / 7,
        style: Style {
            piece_bytes_max: rng.usize(1..300),
            stalls_percent: *rng.choice(&[0, 5, 30]).expect("one of them"),
            stall_ms_max: rng.u64(1..600),
            ends_percent: *rng.choice(&[0, 0, 3, 20]).expect("one of them"),
        },
        pauses_permille: *rng.choice(&[0, 2, 20, 200]).expect("one of them"),
        disk,
        stop_after: stops.then(|| rng.usize(1..6)),
    }
}

fn lines(rng: &mut Rng, count_max: usize) -> Vec<Vec<u8>> {
    let corners = samples::corner_cases();
    (0..rng.usize(..=count_max))
        .map(|_| line(rng, &corners))
        .collect()
}

/// A line without its end.
fn line(rng: &mut Rng, corners: &[Vec<u8>]) -> Vec<u8> {
    let mut line = match rng.u32(..20) {
        0..11 => {
            let number = rng.u32(..40);
            let a = *rng
                .choice(&["1", "\"x\"", "null", "{\"b\":2}", "[0,{\"b\":1}]"])
                .expect("one of them");
            format!(
                r#"{{"id":{number},"happened":{},"status":"s{}","a":{a}}}"#,
                rng.u64(TIMES_MS),
                number * number / 40
            )
            .into_bytes()
        }
        11..14 => samples::record(rng),
        14 | 15 => {
            let mut line = samples::record(rng);
            samples::mutate(rng, &mut line);
            line
        }
        16 => corners[rng.usize(..corners.len())].clone(),
        17 => b" \t".repeat(rng.usize(..3)),
        18 => format!(r#"{{"status":"long"{}}}"#, " ".repeat(rng.usize(..500))).into_bytes(),
        _ => format!(r#"{{"status":"_other","happened":{}}}"#, rng.u64(TIMES_MS)).into_bytes(),
    };
    line.truncate(600);
    // A byte order mark is skipped where a stream begins, and nowhere else: a line is to mean one thing.
    line.retain(|&byte| byte != b'\n' && byte != BYTE_ORDER_MARK_BYTE);
    line
}
