//! One process counts into a state file at a time.
//!
//! An `flock` on a file beside it, which has the process's number in it for the one that comes second. The
//! kernel lets go of the lock however the process ends. Not on the database itself: SQLite's own locks there
//! would be lost with the first descriptor of it that is closed. The file stays where it is: whoever removed it
//! might remove the lock of another.
//!
//! A process that is about to become another one (between `fork` and `exec`) has the lock of its parent for that
//! moment, even if the parent has let go of it or is gone: a lock of whoever is gone, or of this process itself, is
//! asked for again, for a second.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// How often a lock that is left over is asked for again, and after what pause.
const ASKED_MAX: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// Holds the lock until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(super) enum Refused {
    /// Another process has it, of this number if it could be read.
    Held(Option<u32>),
    /// The system refuses it.
    System(PathBuf, io::Error),
}

impl Lock {
    /// Takes the lock of the state file at `path`; does not wait for another process.
    pub(super) fn take(path: &Path) -> Result<Lock, Refused> {
        // Whichever link leads to the file, there is one lock.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = path.into_os_string();
        name.push(".lock");
        let name = PathBuf::from(name);
        let mut asked = 0;
        loop {
            match open(&name).and_then(lock) {
                Ok(Ok(file)) => return Ok(Lock { _file: file }),
                Ok(Err(Some(pid))) if is_left_over(pid) && asked < ASKED_MAX => {
                    asked += 1;
                    thread::sleep(PAUSE);
                }
                Ok(Err(pid)) => return Err(Refused::Held(pid)),
                Err(error) => return Err(Refused::System(name, error)),
            }
        }
    }
}

fn open(name: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(name)
}

/// Whether it cannot be this process that holds a lock: it is gone, or it is the one that asks.
fn is_left_over(pid: u32) -> bool {
    let is_gone = || {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        pid.is_none_or(|pid| test_kill_process(pid) == Err(Errno::SRCH))
    };
    pid == std::process::id() || is_gone()
}

fn lock(mut file: File) -> io::Result<Result<File, Option<u32>>> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut text = String::new();
            // Whoever has just taken it may not have written his number yet.
            let pid = file.read_to_string(&mut text).ok();
            return Ok(Err(pid.and_then(|_| text.trim().parse().ok())));
        }
        Err(error) => return Err(error.into()),
    }
    file.set_len(0)?;
    file.rewind()?;
    // A full disk must not keep anybody from counting: the number is for people.
    drop(writeln!(file, "{}", std::process::id()));
    Ok(Ok(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first_until_that_one_lets_go() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("s.db");
        let first = Lock::take(&path).unwrap();
        let refused = Lock::take(&path).unwrap_err();
        assert!(
            matches!(refused, Refused::Held(Some(pid)) if pid == std::process::id()),
            "{refused:?}"
        );
        drop(first);
        Lock::take(&path).unwrap();
        let nowhere = Lock::take(&here.path().join("no/s.db")).unwrap_err();
        assert!(matches!(nowhere, Refused::System(..)), "{nowhere:?}");
    }
}
