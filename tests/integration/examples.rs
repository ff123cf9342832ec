//! The examples that `--help` shows, run.
//!
//! Each line behind `Examples:` is run by bash in a folder that has the files it names, with a server where it connects
//! to one. What ends by itself must end well; what goes on for ever is interrupted as soon as it tells a service manager
//! that it is ready, and must then end well. What needs a service that is not here is only read: every flag must be one.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tallyline::cli::definition;

use crate::docs::{path, understand};

/// Every example of a command's help, short and long, and of those below it.
fn examples(command: &clap::Command) -> Vec<String> {
    let helps = [command.get_after_help(), command.get_after_long_help()];
    let helps = helps.into_iter().flatten().map(ToString::to_string);
    let mut examples: Vec<String> = helps
        .flat_map(|help| examples_of(&help))
        // What stands further to the right is said about it.
        .map(|line| line.split("   ").next().unwrap_or_default().to_owned())
        .collect();
    for command in command.get_subcommands() {
        examples.extend(self::examples(command));
    }
    examples.sort_unstable();
    examples.dedup();
    examples
}

/// What stands behind `Examples:`, or in the line of `Example:`.
fn examples_of(help: &str) -> Vec<String> {
    let several = help.split("Examples:\n").skip(1);
    let several = several.flat_map(|rest| rest.split("\n\n").next().unwrap_or_default().lines());
    let several = several.filter_map(|line| line.strip_prefix("  "));
    let one = help
        .lines()
        .filter_map(|line| line.strip_prefix("Example: "));
    let all = several
        .chain(one)
        .filter(|line| line.starts_with("tallyline "));
    all.map(str::to_owned).collect()
}

/// Whether it needs what is not here: then it is only read.
fn is_elsewhere(example: &str) -> bool {
    let services = ["kafka:", "kinesis:", "tls", "http", "postgres", "exec:"];
    services.iter().any(|service| example.contains(service))
}

/// Whether it goes on until somebody stops it.
fn is_endless(example: &str) -> bool {
    let endless = [
        "tcp:",
        "tcp-listen:",
        "unix",
        "--follow",
        "incoming/",
        "tallyline demo",
    ];
    endless.iter().any(|endless| example.contains(endless))
}

/// The files that an example may name; states only where it does.
fn furnish(folder: &Path, has_states: bool) {
    let order = "{\"status\":\"PLACED\",\"total\":1.5,\"title\":\"a\",\"level\":\"warn\",\"created_at\":\"2026-11-22T15:47:35Z\",\
                 \"customer\":{\"id\":1,\"address\":{\"country\":\"DE\"}},\"request\":{\"host\":\"h\"}}\n";
    for sub in [
        "logs/deep",
        "incoming",
        "var/log/app",
        "usr/local/share/man/man1",
        ".local/share/bash-completion/completions",
        ".zfunc",
        ".config/fish/completions",
    ] {
        fs::create_dir_all(folder.join(sub)).unwrap();
    }
    for file in [
        "orders.jsonl",
        "app.jsonl",
        "logs/a.jsonl",
        "logs/deep/b.jsonl",
        "var/log/app/a.jsonl",
    ] {
        fs::write(folder.join(file), order).unwrap();
    }
    for file in ["logs/a.json.gz", "incoming/a.jsonl.gz"] {
        let file = fs::File::create(folder.join(file)).unwrap();
        let mut archive = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        archive.write_all(order.as_bytes()).unwrap();
        archive.finish().unwrap();
    }
    fs::write(
        folder.join("job.toml"),
        "source = \"orders.jsonl\"\nby = \"status\"\n",
    )
    .unwrap();
    if !has_states {
        return;
    }
    // States of different files.
    for (state, file, by) in [
        ("app.db", "app", "level"),
        ("orders.db", "orders", "status"),
        ("monday.db", "logs/a", "status"),
        ("tuesday.db", "logs/deep/b", "status"),
    ] {
        let count =
            format!("tallyline count {file}.jsonl --by {by} --state {state} --output none -q");
        let output = run(folder, &count, false);
        assert!(output.status.success(), "{output:?}");
    }
}

/// Runs an example; an endless one until it is ready.
fn run(folder: &Path, example: &str, is_endless: bool) -> Output {
    let manager = folder.join("manager");
    let listening = UnixDatagram::bind(&manager).unwrap();
    let mut child = Command::new("bash")
        .args(["-c", &format!("exec {example}")])
        .current_dir(folder)
        .env("PATH", path())
        .env("HOME", folder)
        .env("NOTIFY_SOCKET", &manager)
        .env("TALLYLINE_CONNECT_WAIT", "10s")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if is_endless {
        listening
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let mut told = [0; 64];
        // One that fails does not become ready.
        while listening.recv(&mut told).is_err() && child.try_wait().unwrap().is_none() {}
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        kill_process(pid, Signal::INT).ok();
    }
    let output = child.wait_with_output().unwrap();
    fs::remove_file(manager).unwrap();
    output
}

#[test]
fn every_example_of_the_help_works() {
    // It accepts connections in its backlog and says nothing.
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port().to_string();
    let examples = examples(&definition());
    assert!(examples.len() > 25, "{examples:?}");
    let mut run_count = 0;
    for example in &examples {
        understand(example);
        if is_elsewhere(example) {
            continue;
        }
        let here = example
            .replace("/var/log", "var/log")
            .replace("/usr/local", "usr/local")
            .replace("shop-1", "127.0.0.1");
        let here = here
            .replace("shop-2", "127.0.0.1")
            .replace("localhost", "127.0.0.1");
        let here = match here.contains("-listen:") {
            true => here.replace("9998", "0"),
            false => here.replace("9998", &port),
        };
        // The example of a file is not the file that is used.
        let mut here = here.replace("> job.toml", "> example.toml");
        // Whoever reads it further may not be here.
        if let Some(first) = here.find(" | ") {
            here.truncate(first);
        }
        if here.starts_with("tallyline tap") && !here.contains("--batches") {
            here.push_str(" --batches 1 --every 50ms");
        }
        let is_endless = is_endless(&here) && !here.contains("--batches");
        let folder = tempfile::tempdir().unwrap();
        furnish(folder.path(), here.contains(".db"));
        let output = run(folder.path(), &here, is_endless);
        assert!(output.status.success(), "{here}: {output:?}");
        run_count += 1;
    }
    assert!(run_count > 20, "{run_count} of {}", examples.len());
}
