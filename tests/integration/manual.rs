//! The manual pages and the completions, as they are installed.

use std::fs;
use std::process::{Command, Stdio};

use crate::support::tallyline;

/// The output of a run that goes well.
fn printed(args: &[&str]) -> String {
    let output = tallyline(args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_page_for_every_command_lands_in_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    assert_eq!(printed(&["man", "--dir", path]), "");
    for (file, command) in [
        ("tallyline.1", &["man"][..]),
        ("tallyline-count.1", &["man", "count"]),
        ("tallyline-state-export.1", &["man", "state", "export"]),
    ] {
        let page = fs::read_to_string(folder.path().join(file)).unwrap();
        assert_eq!(page, printed(command), "{file}");
        assert!(page.contains(".SH EXAMPLES"), "{file}");
    }
}

#[test]
fn a_page_that_is_not_there() {
    for (args, expected) in [
        (
            &["man", "cuont"][..],
            "command 'cuont': no such command; give one of count, ",
        ),
        (
            &["man", "tap", "x"],
            "command 'x': tallyline tap has no commands; ",
        ),
        (
            &["man", "--dir", "/no/such"],
            "--dir '/no/such': cannot write /no/such/tallyline.1: ",
        ),
    ] {
        let output = tallyline(args).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.starts_with(&format!("tallyline: {expected}")),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn bash_completes_commands_flags_and_values() {
    if Command::new("bash")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        return;
    }
    let script = printed(&["completions", "bash"]);
    let completed = |words: &[&str]| {
        let ask = format!(
            "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_tallyline tallyline '{}' '{}'\necho \"${{COMPREPLY[@]}}\"",
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = Command::new("bash")
            .args(["--norc", "-c", &ask])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr, "");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(completed(&["tallyline", "cou"]), "count");
    assert_eq!(
        completed(&["tallyline", "count", "--eve"]),
        "--every --event-time --event-time-format"
    );
    assert_eq!(completed(&["tallyline", "count", "--output", "c"]), "csv");
    assert_eq!(completed(&["tallyline", "state", "ex"]), "export");
}
