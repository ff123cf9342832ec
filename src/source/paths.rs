//! What a file argument stands for: a file, or a glob and the files that it matches.
//!
//! The shell usually expands globs; a quoted one reaches us as it is, which is the way to name more
//! files than a command line holds. A file that is really called `a*.jsonl` is taken at its word.
//! As in a shell, `*` and `?` match neither `/` nor a leading dot, `**` matches any number of folders,
//! and matches come in the order of their names; folders among them are passed over.
//!
//! Everything named is looked at before anything is read, so that a wrong path ends the run at once.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::MatchOptions;
use rustix::fs::Access;

use crate::error::Error;
use crate::source::file::{failed, is_a_directory};

/// How a shell matches names.
pub(super) const AS_A_SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// The regular files that `name` stands for, at least one; `None` if it is something else that can be
/// read: a pipe, a device.
///
/// # Errors
/// If it is or matches nothing, a directory, or a file that may not be read; if it is no glob (usage).
pub fn files_named(name: &str) -> Result<Option<Vec<PathBuf>>, Error> {
    match fs::metadata(name) {
        Ok(found) if found.is_dir() => Err(is_a_directory(name)),
        Ok(found) if !found.is_file() => Ok(None),
        Ok(_) => {
            check_readable(Path::new(name))?;
            Ok(Some(vec![PathBuf::from(name)]))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && is_glob(name) => {
            let files = files_matching(name)?;
            if files.is_empty() {
                return Err(Error::Source(format!(
                    "no file matches {name}; check the path and the pattern"
                )));
            }
            files.iter().try_for_each(|path| check_readable(path))?;
            Ok(Some(files))
        }
        Err(error) => Err(failed(name, "open", &error)),
    }
}

/// Whether `--follow` follows what has this name: a regular file, or what is not there yet.
///
/// # Errors
/// If it is a directory, or cannot be looked at.
pub fn is_followable(name: &str) -> Result<bool, Error> {
    match fs::metadata(name) {
        Ok(found) if found.is_dir() => Err(is_a_directory(name)),
        Ok(found) => Ok(found.is_file()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed(name, "open", &error)),
    }
}

/// Whether `name` stands for the file at `path`, or would if it were there: it matches the glob, or is in the folder
/// `name` and, if one is given, its own name matches `pattern`.
pub fn takes_in(name: &str, pattern: Option<&str>, path: &Path) -> bool {
    if name.ends_with('/') {
        let pattern = pattern.and_then(|pattern| glob::Pattern::new(pattern).ok());
        let own = path.file_name().unwrap_or_default();
        return is_in_folder(name, path) && is_wanted(own, pattern.as_ref());
    }
    let absolute = |path: &Path| std::path::absolute(path).ok();
    let (Some(name), Some(path)) = (absolute(Path::new(name)), absolute(path)) else {
        return false;
    };
    let glob = name.to_str().filter(|name| is_glob(name));
    let glob = glob.and_then(|name| glob::Pattern::new(name).ok());
    glob.map_or(name == path, |glob| {
        glob.matches_path_with(&path, AS_A_SHELL)
    })
}

/// Whether a file in a folder is one of those that are read there.
pub(super) fn is_wanted(name: &OsStr, pattern: Option<&glob::Pattern>) -> bool {
    let text = name.to_string_lossy();
    let is_temporary =
        text.starts_with(['.', '_']) || text.ends_with(".tmp") || text.ends_with("._COPYING_");
    !is_temporary && pattern.is_none_or(|pattern| pattern.matches_with(&text, AS_A_SHELL))
}

fn is_in_folder(folder: &str, path: &Path) -> bool {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let (folder, parent) = (fs::canonicalize(folder), fs::canonicalize(parent));
    matches!((folder, parent), (Ok(folder), Ok(parent)) if folder == parent)
}

/// Whether a name that is no file can be a glob.
pub(super) fn is_glob(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// The regular files that a glob matches now, by name; possibly none.
///
/// # Errors
/// If it is no glob (usage), or a folder cannot be read.
pub(super) fn files_matching(pattern: &str) -> Result<Vec<PathBuf>, Error> {
    let matches = glob::glob_with(pattern, AS_A_SHELL)
        .map_err(|error| Error::Usage(format!("source {pattern}: not a glob: {}", error.msg)))?;
    let mut files = Vec::new();
    for path in matches {
        let path = path.map_err(|error| {
            let folder = error.path().display().to_string();
            failed(&folder, "read", &error.into())
        })?;
        // What vanishes in between is no match any more.
        if fs::metadata(&path).is_ok_and(|found| found.is_file()) {
            files.push(path);
        }
    }
    Ok(files)
}

fn check_readable(path: &Path) -> Result<(), Error> {
    rustix::fs::access(path, Access::READ_OK)
        .map_err(|error| failed(&path.display().to_string(), "open", &error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<String> {
        let files = files_named(pattern).unwrap().unwrap();
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        files.iter().map(name).collect()
    }

    #[test]
    fn globs_match_as_in_a_shell() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.log", "a.log", ".hidden.log", "a.txt", "[x].log"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir_all(folder.path().join("deep/deeper.log")).unwrap();
        fs::write(folder.path().join("deep/c.log"), "").unwrap();
        let at = |pattern: &str| format!("{}/{pattern}", folder.path().display());
        assert_eq!(names(&at("*.log")), ["[x].log", "a.log", "b.log"]);
        assert_eq!(names(&at("?.*")), ["a.log", "a.txt", "b.log"]);
        assert_eq!(names(&at("d*/*.log")), ["c.log"]);
        assert_eq!(
            names(&at("**/*.log")),
            ["[x].log", "a.log", "b.log", "c.log"]
        );
        // A file of that very name comes before the glob, which would match `x.log`.
        assert_eq!(names(&at("[x].log")), ["[x].log"]);
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_taken_in_by_what_would_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("in")).unwrap();
        let takes = |name: &str, pattern: Option<&str>, path: &str| {
            takes_in(
                &format!("{}/{name}", root.display()),
                pattern,
                &root.join(path),
            )
        };
        assert!(takes("*.jsonl", None, "bad.jsonl"));
        assert!(takes("**/*.jsonl", None, "in/bad.jsonl"));
        assert!(!takes("*.jsonl", None, "in/bad.jsonl") && !takes("*.jsonl", None, "bad.txt"));
        assert!(takes("a.jsonl", None, "a.jsonl") && !takes("a.jsonl", None, "b.jsonl"));
        assert!(takes("in/", None, "in/bad.jsonl") && takes("in/", None, "in/../in/bad"));
        assert!(!takes("in/", None, "bad.jsonl") && !takes("in/", None, "in/_bad.jsonl"));
        assert!(!takes("in/", Some("*.gz"), "in/bad.jsonl"));
        // Where we are, by a name without a folder.
        assert!(takes_in("*.jsonl", None, Path::new("bad.jsonl")));
        assert!(takes_in("./", None, Path::new("bad.jsonl")));
    }

    #[test]
    fn what_is_no_regular_file_is_told_apart() {
        assert_eq!(files_named("/dev/null").unwrap(), None);
        let folder = tempfile::tempdir().unwrap();
        let name = folder.path().to_str().unwrap();
        assert_eq!(files_named(name).unwrap_err().exit_status(), 1);
        let none = files_named(&format!("{name}/*.log")).unwrap_err();
        assert!(none.to_string().starts_with("no file matches "), "{none}");
        let bad = files_named(&format!("{name}/***")).unwrap_err();
        assert_eq!(bad.exit_status(), 2, "{bad}");
    }
}
