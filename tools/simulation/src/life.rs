//! A seed's lives, one after the other.

mod by_event;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use fastrand::Rng;
use tallyline::clock::{Timestamp, VirtualClock};
use tallyline::error::Error;
use tallyline::faults::Faults;
use tallyline::pipeline::Pipeline;
use tallyline::sink::Hidden;
use tallyline::source::{Files, KnownFiles, OnReplaced, Script, Source};
use tallyline::state::{Look, Meaning, Saved, State};

use crate::check::{Checker, Standing, same};
use crate::layout::{Laid, LaidLine, Sender, lay_out};
use crate::scenario::{Input, LifePlan, Scenario};
use crate::seen::{Figures, Keep, Place, Seen, SeenBatch, SeenWindow, by_key};
use crate::topic::{Committed, RecordEnd, Topic};

/// 2026-11-22 15:47:37.123 UTC: no multiple of any interval here.
const START: Timestamp = Timestamp::from_millis(1_795_362_457_123);

/// What a simulation came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lived {
    /// Runs of the pipeline.
    pub lives: u64,
    /// Those of which something was not saved.
    pub unsaved: u64,
    /// Batches reported.
    pub batches: u64,
    /// Lines reported.
    pub lines: u64,
}

impl Lived {
    /// What another one came to, too.
    pub fn add(&mut self, other: Lived) {
        self.lives += other.lives;
        self.unsaved += other.unsaved;
        self.batches += other.batches;
        self.lines += other.lines;
    }
}

/// Lives through the scenario of `seed`, keeping its files in `folder`, which is empty.
///
/// # Errors
/// What did not hold.
pub fn live(seed: u64, folder: &Path) -> Result<Lived, String> {
    let mut rng = Rng::with_seed(seed);
    let scenario = Scenario::draw(&mut rng);
    let mut world = World::new(&scenario, folder);
    let mut lived = Lived::default();
    for number in 0..scenario.lives.len() {
        let told = |why| format!("life {} of {}: {why}", number + 1, scenario.lives.len());
        lived.add(world.live(seed, number, &mut rng).map_err(told)?);
    }
    world.check_end()?;
    Ok(lived)
}

/// What outlives a life.
struct World<'a> {
    scenario: &'a Scenario,
    checker: Checker,
    folder: PathBuf,
    /// By source; of topics only.
    committed: Vec<Committed>,
    /// When the last life ended.
    now: Timestamp,
    before: Standing,
    /// The batches that are saved.
    batches: Vec<SeenBatch>,
    /// The windows that closed with them.
    windows: BTreeMap<Place, Figures>,
    /// Those that the last life left open.
    open: BTreeMap<Place, Figures>,
}

/// What a life was run with, and what came of it.
struct Life<'a> {
    plan: &'a LifePlan,
    start: Timestamp,
    /// What each source brings, where it is known when.
    laid: Vec<Laid>,
    seen: Seen,
    /// Nothing, if it did not begin.
    result: Option<Ended>,
}

/// What the pipeline answers, and how many lines it found torn.
type Ended = (Result<(), Error>, u64);

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, folder: &Path) -> World<'a> {
        let committed = scenario.sources.iter().map(|input| match input {
            Input::Topic { partitions, .. } => Arc::new(Mutex::new(vec![0; *partitions])),
            _ => Committed::default(),
        });
        let world = World {
            checker: Checker::new(&scenario.settings),
            committed: committed.collect(),
            folder: folder.to_owned(),
            now: START,
            before: Standing::default(),
            batches: Vec::new(),
            windows: BTreeMap::new(),
            open: BTreeMap::new(),
            scenario,
        };
        world.write_files();
        world
    }

    fn state_path(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Where the files of a source are.
    fn paths(&self, source: usize, files: usize) -> Vec<PathBuf> {
        let files = 0..files;
        files
            .map(|file| self.folder.join(format!("{source}-{file}")))
            .collect()
    }

    fn write_files(&self) {
        for (source, input) in self.scenario.sources.iter().enumerate() {
            let Input::Files { files, .. } = input else {
                continue;
            };
            let paths = self.paths(source, files.len());
            for (number, (path, lines)) in paths.iter().zip(files).enumerate() {
                let mut bytes = lines.join(&b'\n');
                // The last line of every other file lacks its end; one that is empty needs it.
                let needs_end = lines.last().is_some_and(Vec::is_empty);
                if needs_end || (number % 2 == 0 && !lines.is_empty()) {
                    bytes.push(b'\n');
                }
                fs::write(path, bytes).expect("the folder can be written to");
            }
        }
    }

    /// Whether it is known in which batch each line is.
    fn is_known(&self) -> bool {
        self.scenario.step_nanos == 0
    }

    /// Lives one life and checks it.
    fn live(&mut self, seed: u64, number: usize, rng: &mut Rng) -> Result<Lived, String> {
        let plan = &self.scenario.lives[number];
        let start = self.now.plus_nanos(plan.gap_nanos);
        let state = match self.scenario.has_state {
            true => Some(State::open(&self.state_path(), &Meaning::default())),
            false => None,
        };
        let state = state.transpose().map_err(told)?;
        let saved = state.as_ref().map(|state| state.saved().clone());
        let saved = saved.unwrap_or_default();
        let opened = (0..self.scenario.sources.len())
            .map(|source| self.open(source, number, start, &saved, rng));
        let (sources, laid) = opened.collect();

        let faults = Faults {
            seed,
            pauses_permille: plan.pauses_permille,
            disk: plan.disk.clone(),
        };
        faults.begin();
        let (seen, result) = self.run(plan, start, sources, state);
        Faults::default().begin();

        let life = Life {
            plan,
            start,
            laid,
            seen,
            result,
        };
        self.now = life.seen.end().unwrap_or(start);
        self.check(&life)
    }

    /// A source as a life finds it, and what it is going to bring.
    fn open(
        &self,
        source: usize,
        life: usize,
        start: Timestamp,
        saved: &Saved,
        rng: &mut Rng,
    ) -> (Box<dyn Source>, Laid) {
        let style = self.scenario.lives[life].style;
        match &self.scenario.sources[source] {
            Input::Socket(lives) => {
                let laid = lay_out(rng, &lives[life], start, style, Sender::Forgets);
                (Box::new(Script::new(laid.events.clone())), laid)
            }
            Input::Topic {
                records,
                partitions,
            } => {
                let name = format!("topic-{source}");
                let next = positions(saved, &name, *partitions);
                let (rest, ends) = behind(records, &next);
                let laid = lay_out(rng, &rest, start, style, Sender::Repeats);
                let ends = laid.lines.iter().zip(ends);
                let ends = ends.map(|(line, (partition, next))| RecordEnd {
                    arrived: line.arrived,
                    partition,
                    next,
                });
                let committed = Arc::clone(&self.committed[source]);
                let topic = Topic::new(&name, &laid, ends.collect(), next, committed);
                (Box::new(topic), laid)
            }
            Input::Files { files, in_extents } => {
                let mut opened = Files::new(self.paths(source, files.len()), *in_extents);
                if self.scenario.has_state {
                    let known = KnownFiles::new(saved.files.clone(), OnReplaced::Fail);
                    opened = opened.with_known(known).expect("no file is replaced");
                }
                // On a clock that stands still they are read in the first batch that is saved.
                let lines = files.concat();
                let lines = lines.iter().filter(|_| self.before.batch == 0);
                let line = |bytes: &Vec<u8>| LaidLine::new(start, bytes.clone());
                let laid = Laid {
                    lines: lines.map(line).collect(),
                    end: start,
                    ..Laid::default()
                };
                (Box::new(opened), laid)
            }
        }
    }

    /// Runs the pipeline.
    fn run(
        &self,
        plan: &LifePlan,
        start: Timestamp,
        sources: Vec<Box<dyn Source>>,
        state: Option<State>,
    ) -> (Seen, Option<Ended>) {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let stop = Rc::new(RefCell::new(None));
        let keep = Keep {
            seen: Rc::clone(&seen),
            stop: plan.stop_after.map(|batches| (batches, Rc::clone(&stop))),
        };
        let clock = VirtualClock::running(start, self.scenario.step_nanos as i64);
        let settings = self.scenario.settings.clone();
        let pipeline = Pipeline::new(settings, sources, vec![Box::new(keep)], Arc::new(clock));
        let mut pipeline = pipeline.expect("the settings go together");
        *stop.borrow_mut() = Some(pipeline.stop());
        if let Some(state) = state {
            pipeline = pipeline.with_state(state);
        }
        let result = match pipeline.run() {
            Ok((summary, result)) => Some((result, summary.torn_lines)),
            // It could not begin in the state file.
            Err(Error::Setting { name: "state", .. }) if !plan.disk.is_empty() => None,
            Err(error) => Some((Err(error), 0)),
        };
        (seen.take(), result)
    }

    /// Checks a life, and takes note of where it leaves the next one.
    fn check(&mut self, life: &Life<'_>) -> Result<Lived, String> {
        if self.checker.timed.is_some() {
            return self.check_by_event(life);
        }
        let Some((result, torn_lines)) = &life.result else {
            return self.check_state(life, 0).map(|()| Lived::default());
        };
        let batches = &life.seen.batches;
        let lines = life.laid.iter().flat_map(|laid| &laid.lines);
        let lines: Vec<&LaidLine> = lines.collect();
        let is_whole = life.plan.stop_after.is_none();
        self.checker.reports(&life.seen, &self.before)?;
        self.checker.windows(&self.batches, &life.seen)?;
        if self.is_known() {
            let end = life.laid.iter().map(|laid| laid.end).max();
            let end = end.expect("there is a source");
            let span = (life.start, end);
            self.checker.contents(batches, &lines, span, is_whole)?;
        }
        self.check_torn(life, *torn_lines)?;
        let saved = match self.scenario.has_state {
            true => {
                let look = Look::open(&self.state_path()).map_err(told)?;
                (look.saved().batch - self.before.batch) as usize
            }
            false => batches.len(),
        };
        if ended_well(life, result)? {
            same(
                "batches saved of a run that ended well",
                &saved,
                &batches.len(),
            )?;
        }
        if saved > batches.len() {
            return Err(format!("{saved} of {} batches are saved", batches.len()));
        }
        self.take_sockets(life, saved);
        self.check_state(life, saved)?;
        Ok(Lived {
            lives: 1,
            unsaved: u64::from(saved < batches.len()),
            batches: batches.len() as u64,
            lines: batches.iter().map(|batch| batch.ledger.lines).sum(),
        })
    }

    /// Checks how many lines broke off, where that is known.
    fn check_torn(&self, life: &Life<'_>, torn_lines: u64) -> Result<(), String> {
        let is_file = |input: &Input| matches!(input, Input::Files { .. });
        if life.plan.stop_after.is_some() || self.scenario.sources.iter().any(is_file) {
            return Ok(());
        }
        let expected: u64 = life.laid.iter().map(|laid| laid.torn_lines).sum();
        same("torn lines", &torn_lines, &expected)
    }

    /// Takes note of what sockets sent that will count in the end.
    fn take_sockets(&mut self, life: &Life<'_>, saved: usize) {
        let sources = self.scenario.sources.iter().zip(&life.laid);
        let sockets = sources.filter(|(input, _)| matches!(input, Input::Socket(_)));
        for line in sockets.flat_map(|(_, laid)| &laid.lines) {
            if !self.is_known() || self.checker.batch_of(life.start, line.at) < saved {
                self.checker.expect(&line.bytes);
            }
        }
    }

    /// Takes note of a life's windows that are saved, and of those that it left open.
    fn take_windows<'w>(
        &mut self,
        windows: impl Iterator<Item = &'w SeenWindow>,
    ) -> Result<(), String> {
        self.open.clear();
        for window in windows {
            let place = Place::new(window.spec, window.end);
            if !window.is_final {
                self.open.insert(place, window.counts.clone());
                continue;
            }
            self.open.remove(&place);
            if self.windows.insert(place, window.counts.clone()).is_some() {
                return Err(format!("window {} to {} twice", window.spec, window.end));
            }
        }
        Ok(())
    }

    /// Checks what is saved after a life of which the first `saved` batches should be.
    fn check_state(&mut self, life: &Life<'_>, saved: usize) -> Result<(), String> {
        self.before = self.before.after(&life.seen.batches[..saved]);
        self.batches.extend_from_slice(&life.seen.batches[..saved]);
        let windows = life.seen.windows.iter();
        self.take_windows(windows.filter(|window| window.batches <= saved))?;
        let closed = |place: &Place| self.windows.contains_key(place);
        self.checker.closed(&self.batches, closed)?;
        if !self.scenario.has_state {
            return Ok(());
        }
        let look = Look::open(&self.state_path()).map_err(told)?;
        self.check_held(&look)?;
        self.check_history(&look)
    }

    /// Checks that the state is sound, and stands where it should.
    fn check_held(&self, look: &Look) -> Result<(), String> {
        same(
            "what is wrong with the state",
            &look.faults().map_err(told)?,
            &Vec::new(),
        )?;
        same("what the state holds", &held(look)?, &self.before)?;
        for (source, committed) in self.committed.iter().enumerate() {
            let committed = committed.lock().expect("no holder panics");
            let name = format!("topic-{source}");
            let held = positions(look.saved(), &name, committed.len());
            same(
                "what a topic was told, and the state holds",
                &*committed,
                &held,
            )?;
        }
        Ok(())
    }

    /// Checks what the state tells of the batches and windows of all lives.
    fn check_history(&self, look: &Look) -> Result<(), String> {
        let mut batches = look.batches(None, usize::MAX >> 1).map_err(told)?;
        batches.reverse();
        let seen = self.batches.iter();
        let seen: Vec<_> = seen
            .map(|batch| (batch.number, batch.start, batch.end, batch.ledger))
            .collect();
        let held = batches.iter();
        let held: Vec<_> = held
            .map(|batch| (batch.batch, batch.start, batch.end, batch.ledger))
            .collect();
        same("the history's batches", &held, &seen)?;
        for (batch, seen) in batches.iter().zip(&self.batches) {
            let counts = batch.report(|report| by_key(report.counts.shown, |row| row.count));
            check_leaders(&counts, batch.keys.hidden, &seen.counts)?;
        }
        self.check_past_windows(look)
    }

    /// Checks what the state tells of the windows of all lives.
    fn check_past_windows(&self, look: &Look) -> Result<(), String> {
        let windows = look.windows(None, usize::MAX >> 1).map_err(told)?;
        same(
            "windows of the history",
            &windows.len(),
            &self.windows.len(),
        )?;
        for window in &windows {
            let seen = self.windows.get(&Place::new(window.spec, window.end));
            let seen =
                seen.ok_or_else(|| format!("no window {} to {}", window.spec, window.end))?;
            let counts = window.report(|report| by_key(report.counts.shown, |row| row.count));
            check_leaders(&counts, window.keys.hidden, seen)?;
        }
        Ok(())
    }

    /// Checks that what can be replayed was counted once in all.
    fn check_end(&mut self) -> Result<(), String> {
        let was_stopped = self
            .scenario
            .lives
            .iter()
            .any(|plan| plan.stop_after.is_some());
        if was_stopped && !self.scenario.has_state {
            return Ok(());
        }
        for input in &self.scenario.sources {
            match input {
                Input::Socket(_) => {}
                Input::Topic { records, .. } => {
                    records
                        .iter()
                        .for_each(|(_, line)| self.checker.expect(line));
                }
                Input::Files { files, .. } => {
                    let lines = files.iter().flatten();
                    lines.for_each(|line| self.checker.expect(line));
                }
            }
        }
        let mut windows = self.windows.clone();
        windows.append(&mut self.open);
        self.checker.end(&self.before, &windows)
    }
}

fn told(error: Error) -> String {
    error.to_string()
}

/// Whether a life came to its end with everything saved.
fn ended_well(life: &Life<'_>, result: &Result<(), Error>) -> Result<bool, String> {
    match result {
        Ok(()) => Ok(true),
        Err(Error::State(_)) if !life.plan.disk.is_empty() => Ok(false),
        Err(error) => Err(format!("it ended with: {error}")),
    }
}

/// Where the state says that counting stands.
fn held(look: &Look) -> Result<Standing, String> {
    let totals = look.totals().map_err(told)?;
    let (rows, _) = totals.total_rows(None);
    Ok(Standing {
        batch: look.saved().batch,
        ledger: look.saved().ledger,
        totals: by_key(&rows, |row| row.total),
    })
}

/// Checks the keys that a history tells of, and what it hides, against all there were.
fn check_leaders(told: &Figures, hidden: Hidden, seen: &Figures) -> Result<(), String> {
    let is_true = told.iter().all(|(key, count)| seen.get(key) == Some(count));
    same("whether what the history tells was so", &is_true, &true)?;
    let sum: u64 = told.values().sum();
    same(
        "what the history tells in all",
        &(sum + hidden.count),
        &seen.values().sum(),
    )?;
    let keys = told.len() as u64 + hidden.keys;
    same("its keys", &keys, &(seen.len() as u64))
}

/// Where the partitions of a topic stand.
fn positions(saved: &Saved, name: &str, partitions: usize) -> Vec<u64> {
    let mut next = vec![0; partitions];
    for part in saved.parts.iter().filter(|part| part.source == name) {
        let partition: usize = part.part.parse().expect("a partition's number");
        next[partition] = part.next.parse().expect("a record's number");
    }
    next
}

/// The records from `next` on, and of each the partition and what comes after it there.
fn behind(records: &[(usize, Vec<u8>)], next: &[u64]) -> (Vec<Vec<u8>>, Vec<(usize, u64)>) {
    let mut seen = vec![0; next.len()];
    let mut rest = (Vec::new(), Vec::new());
    for (partition, line) in records {
        seen[*partition] += 1;
        if seen[*partition] > next[*partition] {
            rest.0.push(line.clone());
            rest.1.push((*partition, seen[*partition]));
        }
    }
    rest
}
