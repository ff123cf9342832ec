//! `exec:COMMAND`: Spark's `foreachBatch` for the shell. The command runs once per batch, with the batch's JSON lines
//! on its standard input, and is to end with status 0; otherwise it runs again, for the same batch.
//!
//! One runs at a time. What it prints goes to standard error, as standard output is for results. The environment
//! tells it the batch: `BATCH`, and `BATCH_KEY`, which is the same whenever the same batch is handed over again. A
//! command that takes longer than `timeout=` is killed, with all that it has started.

use std::io::{self, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::outlet::{Context, Cut, Outlet, Receipt, Refusal};
use super::parcel::{Choice, Parcel};
use super::print::each;
use super::spec::SinkSpec;
use crate::error::reason;
use crate::sink::{JsonSink, text};

/// How often is looked whether the command has ended.
const LOOK: Duration = Duration::from_millis(2);

/// A sink that is a command.
#[derive(Debug)]
pub(super) struct ExecOutlet {
    command: String,
    job: String,
    choice: Choice,
    timeout: Duration,
}

impl ExecOutlet {
    pub(super) fn new(command: &str, spec: &SinkSpec, context: &Context) -> ExecOutlet {
        ExecOutlet {
            command: command.to_owned(),
            job: context.job.clone(),
            choice: spec.choice,
            timeout: spec.timeout,
        }
    }

    fn run(&self, parcel: &Parcel, lines: &[u8], cut: &Cut) -> io::Result<ExitStatus> {
        let mut child = Command::new("sh")
            .args(["-c", &self.command])
            .env("BATCH", parcel.batch().to_string())
            .env("BATCH_KEY", parcel.key(&self.job))
            .stdin(Stdio::piped())
            .stdout(Stdio::from(io::stderr()))
            // A group of its own: Ctrl-C is for us, who let it finish.
            .process_group(0)
            .spawn()?;
        let stdin = child.stdin.take();
        thread::scope(|scope| {
            let feeding = scope.spawn(move || {
                // A command that has seen enough closes its end, which is its own affair.
                if let Some(mut stdin) = stdin {
                    drop(stdin.write_all(lines));
                }
            });
            let status = wait(&mut child, self.timeout, cut, || feeding.is_finished());
            if !matches!(status, Ok(Some(_))) {
                kill(&child);
                child.wait()?;
            }
            status?.ok_or_else(|| {
                let time =
                    text::duration(u64::try_from(self.timeout.as_nanos()).unwrap_or(u64::MAX));
                let told = format!("the command took longer than {time} (timeout=) and was killed");
                io::Error::new(io::ErrorKind::TimedOut, told)
            })
        })
    }
}

/// Waits until the command has ended and its input is gone; `None`: that takes too long, or is of no use any more.
fn wait(
    child: &mut Child,
    timeout: Duration,
    cut: &Cut,
    is_fed: impl Fn() -> bool,
) -> io::Result<Option<ExitStatus>> {
    let mut waited = Duration::ZERO;
    while waited < timeout && !cut.is_cut() {
        if let Some(status) = child.try_wait()?
            && is_fed()
        {
            return Ok(Some(status));
        }
        thread::sleep(LOOK);
        waited += LOOK;
    }
    Ok(None)
}

/// Kills the command and what it has started.
fn kill(child: &Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(group) = group {
        // Whoever is gone already need not be killed.
        kill_process_group(group, Signal::KILL).unwrap_or(());
    }
}

impl Outlet for ExecOutlet {
    fn check(&mut self) -> Result<String, Refusal> {
        let output = Command::new("sh")
            .args(["-n", "-c", &self.command])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| Refusal::Wrong(format!("cannot run sh: {}", reason(&error))))?;
        if output.status.success() {
            return Ok("the shell understands the command; it has not been run".to_owned());
        }
        let told = String::from_utf8_lossy(&output.stderr);
        let told = told.lines().next().unwrap_or("no reason given");
        Err(Refusal::Wrong(format!(
            "the shell does not understand the command: {}",
            text::sample(told.as_bytes(), 200)
        )))
    }

    fn deliver(&mut self, parcel: &Parcel, cut: &Cut) -> Result<Receipt, Refusal> {
        let mut lines = Vec::new();
        let rows = each(parcel, &self.choice, JsonSink::new(&mut lines))?;
        if lines.is_empty() {
            return Ok(Receipt::default());
        }
        let later = |told: String| Err(Refusal::Later(told, None));
        match self.run(parcel, &lines, cut) {
            Ok(status) if status.success() => Ok(Receipt { rows, mark: None }),
            Ok(status) => later(match (status.code(), status.signal()) {
                (Some(code), _) => format!("the command ended with status {code}"),
                (None, Some(signal)) => format!("the command was ended by signal {signal}"),
                (None, None) => "the command ended without a status".to_owned(),
            }),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => later(error.to_string()),
            Err(error) => later(format!("cannot run the command: {}", reason(&error))),
        }
    }
}
