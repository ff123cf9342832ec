//! Settings from files and the environment, as a user meets them.

use std::fs;
use std::process::Output;

use crate::support::tallyline;

/// Runs the binary in a folder with this `job.toml` and these variables.
fn run(args: &[&str], variables: &[(&str, &str)], job: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("job.toml"), job).unwrap();
    fs::write(
        folder.path().join("orders.jsonl"),
        "{\"status\":\"PLACED\"}\n",
    )
    .unwrap();
    let mut command = tallyline(args);
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .current_dir(folder.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

const JOB: &str = "source = \"orders.jsonl\"\nby = \"status\"\noutput = \"json\"\nquiet = true\n";

#[test]
fn a_whole_job_can_stand_in_a_file() {
    let (status, stdout, stderr) = run(&["count", "--config", "job.toml"], &[], JOB);
    assert_eq!((status, &stderr[..]), (Some(0), ""));
    let totals = stdout.lines().last().unwrap();
    assert!(
        totals.contains("{\"key\":\"PLACED\",\"total\":1}"),
        "{stdout}"
    );
}

#[test]
fn an_error_that_needs_several_settings_names_the_place_of_the_one_to_change() {
    for (args, variables, name) in [
        (
            &["count", "--config", "job.toml"][..],
            &[][..],
            "job.toml:5:14: pool-bytes",
        ),
        (
            &["count", "--config", "job.toml"],
            &[("TALLYLINE_POOL_BYTES", "2KiB")],
            "TALLYLINE_POOL_BYTES",
        ),
        (
            &["config", "check", "job.toml"],
            &[],
            "job.toml:5:14: pool-bytes",
        ),
    ] {
        let (status, stdout, stderr) =
            run(args, variables, &format!("{JOB}pool-bytes = \"1KiB\"\n"));
        assert_eq!((status, &stdout[..]), (Some(2), ""), "{stderr}");
        assert!(
            stderr.starts_with(&format!("tallyline: {name} '")),
            "{stderr}"
        );
        assert!(
            stderr.contains("too small for these lines") && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
}

#[test]
fn the_check_prints_what_a_run_would_use_and_where_it_comes_from() {
    let variables = [("TALLYLINE_EVERY", "2s"), ("TALLYLINE_EVRY", "2s")];
    let (status, printed, stderr) = run(&["config", "check", "job.toml"], &variables, JOB);
    assert_eq!(status, Some(0), "{stderr}");
    assert!(
        stderr.contains("TALLYLINE_EVRY: no such setting; did you mean TALLYLINE_EVERY?"),
        "{stderr}"
    );
    for line in [
        "source = [\"orders.jsonl\"]  # job.toml:1:10",
        "every = \"2s\"  # TALLYLINE_EVERY",
        "max-keys = 1000000  # default",
        "quiet = true  # job.toml:4:9",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    let (status, alone, stderr) = run(
        &["config", "check", "--no-environment", "job.toml"],
        &variables,
        JOB,
    );
    assert_eq!((status, &stderr[..]), (Some(0), ""));
    assert!(alone.contains("every = \"5s\"  # default"), "{alone}");
    // Fed back, it gives the same.
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .filter_map(|line| Some(line.split_once("  # ")?.0.to_owned()))
            .collect()
    };
    let (_, again, _) = run(&["config", "check", "job.toml"], &[], &printed);
    assert_eq!(settings(&again), settings(&printed));
    assert!(settings(&again).len() > 10);
}

#[test]
fn the_check_tells_every_fault() {
    let job = "every = \"5\"\nmax_keys = 1\nby = \"a..b\"\n";
    let (status, stdout, stderr) = run(&["config", "check", "job.toml"], &[], job);
    assert_eq!((status, &stdout[..]), (Some(2), ""));
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 3, "{stderr}");
    assert!(
        lines[0].starts_with("tallyline: job.toml:1:9: every '5': write a time"),
        "{stderr}"
    );
    assert!(
        lines[1].ends_with("job.toml:2:1: max_keys: no such setting; did you mean max-keys?"),
        "{stderr}"
    );
    assert!(
        lines[2].starts_with("tallyline: job.toml:3:6: by 'a..b': "),
        "{stderr}"
    );
    // A run tells the first, and that there are more.
    let (status, _, stderr) = run(&["count", "--config", "job.toml"], &[], job);
    assert_eq!((status, stderr.lines().count()), (Some(2), 1));
    assert!(
        stderr
            .trim_end()
            .ends_with("(and 2 more: see 'tallyline config check')"),
        "{stderr}"
    );
}

#[test]
fn a_file_that_is_not_there() {
    let (status, _, stderr) = run(&["config", "check", "none.toml"], &[], "");
    assert_eq!(status, Some(2));
    assert_eq!(
        stderr,
        "tallyline: none.toml: cannot read it: no such file or directory; check the path\n"
    );
}
