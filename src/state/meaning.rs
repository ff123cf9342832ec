//! What the totals in a state file mean: the settings on which it depends whether and under which key a line
//! is counted. Everything else (sources, the batch interval, threads, output) may change from run to run.

use std::fmt;

/// Settings by name, several values of one in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    settings: Vec<(String, String)>,
}

impl Meaning {
    /// These settings: long flags' names and values.
    pub fn new(settings: impl IntoIterator<Item = (String, String)>) -> Meaning {
        Meaning {
            settings: settings.into_iter().collect(),
        }
    }

    /// The settings, as name and value.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.settings
            .iter()
            .map(|(name, value)| (&**name, &**value))
    }

    /// The values of one setting.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.settings().filter(move |(this, _)| *this == name);
        named.map(|(_, value)| value)
    }

    /// What is different: of each setting that differs its name, the flags here, and there.
    pub(super) fn differences(&self, other: &Meaning) -> Vec<(String, String)> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.settings().chain(other.settings()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let differs = |name: &&&str| !self.values(name).eq(other.values(name));
        let names = names.iter().filter(differs);
        names
            .map(|name| (self.flags(name), other.flags(name)))
            .collect()
    }

    fn flags(&self, name: &str) -> String {
        let flags: Vec<String> = self
            .values(name)
            .map(|value| format!("--{name} {value}"))
            .collect();
        match flags.is_empty() {
            true => format!("no --{name}"),
            false => flags.join(" "),
        }
    }
}

/// The flags that say the same.
impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.settings().enumerate() {
            let space = if number > 0 { " " } else { "" };
            write!(f, "{space}--{name} {value}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(settings: &[(&str, &str)]) -> Meaning {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Meaning::new(settings.iter().map(owned))
    }

    #[test]
    fn what_differs_is_told_as_flags() {
        let one = meaning(&[("by", "status"), ("max-line", "10")]);
        assert!(one.differences(&one.clone()).is_empty());
        let two = meaning(&[
            ("by", "status"),
            ("by", "country"),
            ("where", "a=1"),
            ("max-line", "10"),
        ]);
        let expected = [
            ("--by status", "--by status --by country"),
            ("no --where", "--where a=1"),
        ];
        let expected = expected.map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(one.differences(&two), expected);
        assert_eq!(one.to_string(), "--by status --max-line 10");
    }
}
