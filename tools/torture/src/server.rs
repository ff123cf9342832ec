//! A server that one of the tools starts, for a sink: killed, and started again with what it had.

use std::path::PathBuf;
use std::process::Command;

/// How long a server lives that nobody stops, in seconds.
const SECONDS_MAX: u32 = 3_600;

/// A server of our own, stopped when this is dropped.
#[derive(Debug)]
pub struct Server {
    tool: &'static str,
    name: String,
    /// What it told of itself when it was started: names and values.
    told: Vec<(String, String)>,
}

impl Server {
    /// Starts one with a tool of this repository: `kafka-broker` or `postgres-server`.
    ///
    /// # Errors
    /// What the tool says.
    pub fn start(tool: &'static str, name: &str) -> Result<Server, String> {
        let mut server = Server {
            tool,
            name: name.to_owned(),
            told: Vec::new(),
        };
        let told = server.run("start")?;
        let pair = |line: &str| {
            let (name, value) = line.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        };
        server.told = told.lines().filter_map(pair).collect();
        Ok(server)
    }

    /// What it told by that name.
    ///
    /// # Panics
    /// If it did not.
    pub fn told(&self, name: &str) -> &str {
        let found = self.told.iter().find(|(told, _)| told == name);
        &found
            .unwrap_or_else(|| panic!("{} tells no {name}", self.tool))
            .1
    }

    /// Kills it, as a crash would.
    ///
    /// # Errors
    /// What the tool says.
    pub fn kill(&self) -> Result<(), String> {
        self.run("kill").map(drop)
    }

    /// Starts it again with the data that it had.
    ///
    /// # Errors
    /// What the tool says.
    pub fn restart(&self) -> Result<(), String> {
        self.run("restart").map(drop)
    }

    /// Holds all of its processes up, as a machine that is frozen does: connections stay open, nobody answers.
    ///
    /// # Errors
    /// What the tool says.
    pub fn freeze(&self) -> Result<(), String> {
        self.run("freeze").map(drop)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// What the tool says.
    pub fn thaw(&self) -> Result<(), String> {
        self.run("thaw").map(drop)
    }

    fn run(&self, what: &str) -> Result<String, String> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(self.tool);
        let seconds = SECONDS_MAX.to_string();
        let output = Command::new(path)
            .args([what, "--name", &self.name, "--for", &seconds])
            .output()
            .map_err(|error| format!("cannot run {}: {error}", self.tool))?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that does not end now does when its time is up.
        drop(self.run("stop"));
    }
}
