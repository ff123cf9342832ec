//! A program that is started and killed.

use std::fs;
use std::ops::AddAssign;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// How long a save may last: a kill comes at most so long after it was seen to begin.
const SAVE_MAX: Duration = Duration::from_millis(4);

/// Steps of the saves in which a run is to die, about: ten a save.
const STEPS_MAX: u64 = 150;

/// How long a run may take that is to finish.
const FINISH_MAX: Duration = Duration::from_secs(120);

/// What was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Kills of the program and of servers.
    pub kills: u32,
    /// Those of them that were of servers.
    pub of_servers: u32,
    /// Those while a batch was being saved, as far as could be seen.
    pub within_saves: u32,
}

impl AddAssign for Done {
    fn add_assign(&mut self, more: Done) {
        self.kills += more.kills;
        self.of_servers += more.of_servers;
        self.within_saves += more.within_saves;
    }
}

/// Starts and kills one command line.
#[derive(Debug)]
pub struct Kills {
    binary: PathBuf,
    args: Vec<String>,
    state: PathBuf,
    rng: fastrand::Rng,
    /// How long a run may live before it is killed.
    life_max: Duration,
    /// Whether the program can be told to die within a save.
    has_fault_points: bool,
    /// Set for the program.
    environment: Option<(&'static str, String)>,
    /// So far.
    pub done: Done,
}

impl Kills {
    /// Nothing is started yet. The arguments are those of `tallyline count` but for `--state`.
    pub fn new(
        binary: &Path,
        sources: &[String],
        flags: &[&str],
        state: PathBuf,
        seed: u64,
        has_fault_points: bool,
    ) -> Kills {
        let mut args = vec!["count".to_owned()];
        args.extend_from_slice(sources);
        args.extend(flags.iter().map(|&flag| flag.to_owned()));
        args.push(format!("--state={}", state.display()));
        Kills {
            binary: binary.to_owned(),
            args,
            state,
            rng: fastrand::Rng::with_seed(seed),
            life_max: Duration::from_millis(80),
            has_fault_points,
            environment: None,
            done: Done::default(),
        }
    }

    /// The same with longer lives: for a source that takes its time to begin.
    pub fn with_life(self, life_max: Duration) -> Kills {
        Kills { life_max, ..self }
    }

    /// The same with something in the program's environment.
    pub fn with_environment(self, environment: Option<(&'static str, String)>) -> Kills {
        Kills {
            environment,
            ..self
        }
    }

    /// Starts the program, kills a server under it after a moment, and the program itself before the server is up again
    /// or a moment later. Returns the program's status if it ended before.
    ///
    /// # Errors
    /// If the server cannot be killed or started.
    pub fn kill_under(
        &mut self,
        kill: impl FnOnce() -> Result<(), String>,
        restart: impl Fn() -> Result<(), String>,
    ) -> Result<Option<ExitStatus>, String> {
        let mut child = self.start(None);
        thread::sleep(self.life_max.mul_f64(self.rng.f64()));
        let mut done = kill();
        let lives_on = self.rng.bool();
        if lives_on {
            done = done.and_then(|()| restart());
            thread::sleep(self.life_max.mul_f64(self.rng.f64()));
        }
        let ended = child.try_wait().expect("a child can be waited for");
        // One that is dead already does not mind.
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        if !lives_on {
            done = done.and_then(|()| restart());
        }
        done?;
        self.done.kills += 2;
        self.done.of_servers += 1;
        Ok(ended)
    }

    /// Starts the program and kills it after a moment. Returns its status if it ended before.
    pub fn kill_once(&mut self) -> Option<ExitStatus> {
        if self.has_fault_points && self.rng.bool() {
            return self.die_once();
        }
        let mut child = self.start(None);
        let begun = Instant::now();
        let life = self.life_max.mul_f64(self.rng.f64());
        let waits_for_save = self.rng.bool();
        let before = self.log_changed();
        let mut is_saving = false;
        while begun.elapsed() < life && !is_saving {
            thread::sleep(Duration::from_micros(200));
            is_saving = waits_for_save && self.log_changed() != before;
        }
        if is_saving {
            thread::sleep(SAVE_MAX.mul_f64(self.rng.f64()));
        }
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        self.done.kills += 1;
        self.done.within_saves += u32::from(is_saving);
        None
    }

    /// Starts the program and has it die before some step of a save; if it does not come to that, kills it.
    /// Returns its status if it ended before.
    fn die_once(&mut self) -> Option<ExitStatus> {
        let step = self.rng.u64(..STEPS_MAX);
        let mut child = self.start(Some(step));
        let begun = Instant::now();
        let mut is_over = false;
        while !is_over && begun.elapsed() < 4 * self.life_max {
            thread::sleep(Duration::from_micros(200));
            let status = child.try_wait().expect("a child can be waited for");
            is_over = status.is_some();
        }
        // One that is dead already does not mind.
        child.kill().expect("a child can be killed");
        let status = child.wait().expect("a child can be waited for");
        if status.signal().is_none() {
            return Some(status);
        }
        let is_saving = is_over;
        self.done.kills += 1;
        self.done.within_saves += u32::from(is_saving);
        None
    }

    /// Starts the program and lets it end by itself or, as soon as `is_enough`, by SIGTERM.
    ///
    /// # Panics
    /// If it takes too long.
    pub fn finish(&self, mut is_enough: impl FnMut() -> bool) -> ExitStatus {
        let mut child = self.start(None);
        let begun = Instant::now();
        let mut is_stopped = false;
        loop {
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                return status;
            }
            if begun.elapsed() > FINISH_MAX {
                child.kill().expect("a child can be killed");
                panic!("{} does not finish", self.binary.display());
            }
            if !is_stopped && is_enough() {
                is_stopped = true;
                let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
                let pid = pid.expect("a process has a number");
                kill_process(pid, Signal::TERM).expect("a child can be told to end");
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn start(&self, dies_before: Option<u64>) -> Child {
        let mut command = Command::new(&self.binary);
        if let Some(step) = dies_before {
            command.env("DIE_BEFORE_STEP", step.to_string());
        }
        command.envs(self.environment.clone());
        command
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.binary.display()))
    }

    /// When the write-ahead log was changed last, and how long it was.
    fn log_changed(&self) -> Option<(std::time::SystemTime, u64)> {
        let mut log = self.state.as_os_str().to_owned();
        log.push("-wal");
        let metadata = fs::metadata(PathBuf::from(log)).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    }
}
