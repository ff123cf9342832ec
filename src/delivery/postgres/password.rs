//! Where the password for PostgreSQL is: never on the command line.
//!
//! In the order of `libpq`: a file of ours that has nothing else in it, `PGPASSWORD`, and the file of passwords that
//! `PGPASSFILE` names or `~/.pgpass` is, a `host:port:database:user:password` on each line.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::error::reason;

/// The password, if there is one.
///
/// # Errors
/// What is wrong with a file that was named.
pub(super) fn password(config: &Config, file: Option<&Path>) -> Result<Option<String>, String> {
    let read = |path: &Path, how: &str| {
        fs::read_to_string(path).map_err(|error| {
            format!(
                "cannot read {}: {}; name a file of passwords with {how}",
                path.display(),
                reason(&error)
            )
        })
    };
    if let Some(path) = file {
        let password = read(path, "password-file=")?;
        return Ok(Some(password.trim_end_matches(['\r', '\n']).to_owned()));
    }
    if let Ok(password) = env::var("PGPASSWORD") {
        return Ok(Some(password));
    }
    let named = env::var_os("PGPASSFILE").map(PathBuf::from);
    let text = match (&named, env::var_os("HOME")) {
        (Some(path), _) => read(path, "PGPASSFILE")?,
        (None, Some(home)) => {
            fs::read_to_string(Path::new(&home).join(".pgpass")).unwrap_or_default()
        }
        (None, None) => String::new(),
    };
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        _ => "localhost".to_owned(),
    };
    let port = config.get_ports().first().unwrap_or(&5432).to_string();
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    Ok(find(&text, [&host, &port, database, user]))
}

/// The password of the first line that fits.
fn find(text: &str, wanted: [&str; 4]) -> Option<String> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut passwords = lines.filter_map(|line| {
        let mut fields = fields(line).into_iter();
        let fits = wanted.iter().all(|wanted| {
            let field = fields.next().unwrap_or_default();
            field == "*" || field == *wanted
        });
        fields.next().filter(|_| fits)
    });
    passwords.next()
}

/// The fields of a line: a backslash takes the meaning off the character behind it.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is always one");
        match c {
            '\\' => field.extend(chars.next()),
            ':' => fields.push(String::new()),
            c => field.push(c),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits_has_the_password() {
        let text = "# ours\nother:5432:db:me:no\n*:5432:db:me:a\\:b\\\\c\n*:*:*:*:all\n";
        let find = |host, user| find(text, [host, "5432", "db", user]);
        assert_eq!(find("here", "me").as_deref(), Some("a:b\\c"));
        assert_eq!(find("other", "me").as_deref(), Some("no"));
        assert_eq!(find("here", "you").as_deref(), Some("all"));
        assert_eq!(
            super::find("here:1:db:me:x", ["here", "2", "db", "me"]),
            None
        );
    }
}
