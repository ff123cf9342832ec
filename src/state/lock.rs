//! One process counts into a state file at a time.
//!
//! An `flock` on a file beside it, which has the process's number in it for the one that comes second. The
//! kernel lets go of the lock however the process ends. Not on the database itself: SQLite's own locks there
//! would be lost with the first descriptor of it that is closed. The file stays where it is: whoever removed it
//! might remove the lock of another.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

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
    /// Takes the lock of the state file at `path`; does not wait.
    pub(super) fn take(path: &Path) -> Result<Lock, Refused> {
        // Whichever link leads to the file, there is one lock.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut name = path.into_os_string();
        name.push(".lock");
        let name = PathBuf::from(name);
        let taken = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .and_then(lock);
        match taken {
            Ok(Ok(file)) => Ok(Lock { _file: file }),
            Ok(Err(pid)) => Err(Refused::Held(pid)),
            Err(error) => Err(Refused::System(name, error)),
        }
    }
}

fn lock(mut file: File) -> io::Result<Result<File, Option<u32>>> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
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
