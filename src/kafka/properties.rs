//! What librdkafka is told beside what tallyline's own flags say: `-X NAME=VALUE` for sources, `X.NAME=VALUE` in
//! front of a sink.
//!
//! A secret is not taken on the command line, where everybody on the machine can read it: it stands
//! in a file, `-X @FILE` or `properties=FILE`, a property per line. Properties that a flag sets, or that the counting
//! depends on, are refused with the flag to use.

use std::fs;

use crate::error::{Error, reason};

/// Properties whose value nobody else may see.
const SECRETS: [&str; 7] = [
    "sasl.password",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.assertion.private.key.passphrase",
];

/// Properties that are not the user's to set, and what to do instead.
pub(crate) type Taken = &'static [(&'static str, &'static str)];

/// Those of sources.
const TAKEN: Taken = &[
    (
        "bootstrap.servers",
        "name the brokers in kafka://BROKERS/TOPIC",
    ),
    (
        "metadata.broker.list",
        "name the brokers in kafka://BROKERS/TOPIC",
    ),
    ("group.id", "give --group"),
    ("auto.offset.reset", "give --from"),
    (
        "enable.auto.commit",
        "offsets are committed when a batch has been printed",
    ),
    (
        "enable.auto.offset.store",
        "offsets are committed when a batch has been printed",
    ),
    ("enable.partition.eof", "it is on"),
    ("statistics.interval.ms", "give --stats"),
    ("log.queue", "it is on"),
];

/// Names and values, in the order given: a later one outdoes an earlier.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(Vec<(String, String)>);

impl Properties {
    /// Reads what was given as `NAME=VALUE` or `@FILE`.
    ///
    /// # Errors
    /// If one makes no sense, is a secret, or is set by a flag (usage).
    pub fn parse(arguments: &[String]) -> Result<Properties, Error> {
        let mut properties = Properties::default();
        for argument in arguments {
            match argument.strip_prefix('@') {
                Some(path) => properties.read(path, TAKEN).map_err(|what| (what, "-X @")),
                None => {
                    let set = properties.set(argument, "-X @FILE", TAKEN);
                    set.map_err(|what| (what, "-X "))
                }
            }
            .map_err(|(what, flag)| Error::Usage(format!("{flag}{what}")))?;
        }
        Ok(properties)
    }

    /// Adds a `NAME=VALUE` of the command line, where no secret is to stand, but where `instead` says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn set(&mut self, text: &str, instead: &str, taken: Taken) -> Result<(), String> {
        let (name, value) = split(text, taken).map_err(|what| match text.split_once('=') {
            Some((name, _)) => format!("{}: {what}", name.trim()),
            None => format!("{text}: {what}"),
        })?;
        if SECRETS.contains(&name) {
            return Err(format!(
                "{name}=…: a secret does not belong on the command line; write it into a file and give {instead}"
            ));
        }
        self.0.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// The pairs.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The number that a property is set to, by the last that sets it.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        let mut set = self.iter().filter(|&(set, _)| set == name);
        set.next_back()?.1.parse().ok()
    }

    /// Adds those of a file, a line each; blank ones and those with `#` before them say nothing.
    ///
    /// # Errors
    /// What is wrong with the file, which is named first.
    pub(crate) fn read(&mut self, path: &str, taken: Taken) -> Result<(), String> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("{path}: cannot read the file: {}", reason(&error)))?;
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                let (name, value) = split(line, taken)
                    .map_err(|what| format!("{path}: line {}: {what}", index + 1))?;
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }
}

/// Values may be secrets: only the names are shown.
impl std::fmt::Debug for Properties {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|(name, _)| name))
            .finish()
    }
}

fn split(text: &str, taken: Taken) -> Result<(&str, &str), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("not a property; write NAME=VALUE, as librdkafka names them".to_owned());
    };
    let name = name.trim();
    if let Some((_, instead)) = taken.iter().find(|(taken, _)| *taken == name) {
        return Err(format!("{name} cannot be set so; {instead}"));
    }
    Ok((name, value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Properties, String> {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        Properties::parse(&arguments).map_err(|error| error.to_string())
    }

    #[test]
    fn pairs_and_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            file.path(),
            "# comment\n\nsasl.password = a=b \nfetch.wait.max.ms=5\n",
        )
        .unwrap();
        let from_file = format!("@{}", file.path().display());
        let properties = parse(&["client.id=me", &from_file]).unwrap();
        let pairs: Vec<_> = properties.iter().collect();
        assert_eq!(
            pairs,
            [
                ("client.id", "me"),
                ("sasl.password", "a=b"),
                ("fetch.wait.max.ms", "5")
            ]
        );
        assert_eq!(properties.number("fetch.wait.max.ms"), Some(5));
        assert_eq!(properties.number("client.id"), None);
        assert!(!format!("{properties:?}").contains("a=b"));
    }

    #[test]
    fn secrets_and_what_flags_set_are_refused() {
        let secret = parse(&["sasl.password=hunter2"]).unwrap_err();
        assert!(
            secret.contains("-X @FILE") && !secret.contains("hunter2"),
            "{secret}"
        );
        assert!(parse(&["group.id=g"]).unwrap_err().contains("--group"));
        assert!(parse(&["client.id"]).unwrap_err().contains("NAME=VALUE"));
        assert!(
            parse(&["@/no/such/file"])
                .unwrap_err()
                .contains("no such file")
        );
    }
}
