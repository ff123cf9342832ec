use std::fs;
use std::time::Duration;

use proptest::prelude::*;

use super::check::check_file;
use super::*;
use crate::cli::{Command, CountArgs};

fn resolve_with(args: &[&str], variables: &[(&str, &str)]) -> Result<Resolved, Vec<String>> {
    let args: Vec<OsString> = ["tallyline"]
        .iter()
        .chain(args)
        .map(OsString::from)
        .collect();
    let variables = variables
        .iter()
        .map(|&(name, value)| (name.into(), value.into()));
    resolve(&args, variables).map_err(|refusal| match refusal {
        Refusal::CommandLine(error) => vec![crate::cli::one_line(&error)],
        Refusal::Wrong(lines) => lines,
    })
}

/// `count` with these flags and variables and a file of this text, called `job.toml`.
fn count(flags: &[&str], variables: &[(&str, &str)], text: &str) -> Result<CountArgs, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let args = [&["count", "--config", path], flags].concat();
    let short = |line: String| line.replace(path, "job.toml");
    match resolve_with(&args, variables) {
        Ok(resolved) => match resolved.cli.command {
            Command::Count(args) => Ok(*args),
            other => panic!("{other:?}"),
        },
        Err(lines) => Err(lines.into_iter().map(short).collect()),
    }
}

const JOB: &str = "source = '-'\nby = 'status'\n";

#[test]
fn a_flag_goes_over_the_environment_over_the_file_over_the_default() {
    let every = |flags: &[&str], variables: &[(&str, &str)], text: &str| {
        count(flags, variables, &format!("{JOB}{text}"))
            .unwrap()
            .stream
            .every
            .as_secs()
    };
    let (flag, variable, file) = (
        ["--every", "1s"],
        [("TALLYLINE_EVERY", "2s")],
        "every = '3s'",
    );
    assert_eq!(every(&flag, &variable, file), 1);
    assert_eq!(every(&[], &variable, file), 2);
    assert_eq!(every(&[], &[("TALLYLINE_EVERY", "")], file), 3);
    assert_eq!(every(&[], &[], ""), 5);
}

#[test]
fn what_must_be_set_may_be_set_anywhere() {
    let variables = [
        ("TALLYLINE_BY", "customer.country"),
        ("TALLYLINE_STATS", "true"),
    ];
    let args = count(&[], &variables, "source = 'orders.jsonl'\nmax-keys = 7\n").unwrap();
    let by: Vec<String> = args.by.iter().map(ToString::to_string).collect();
    assert_eq!(by, ["customer.country"]);
    assert!(args.output.stats);
    assert_eq!(args.machine.max_keys, 7);
    let missing = count(&[], &[], "by = 'status'").unwrap_err();
    assert_eq!(
        missing,
        ["<SOURCE>...: not provided; give it here, in the environment or in a file (--config)"]
    );
}

#[test]
fn the_environment_can_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("job.toml");
    fs::write(&path, "lines = 3\nby = 'not for tap'\n").unwrap();
    let variables = [("TALLYLINE_CONFIG", path.to_str().unwrap())];
    let resolved = resolve_with(&["tap", "-"], &variables).unwrap();
    let Command::Tap(args) = resolved.cli.command else {
        panic!("tap");
    };
    assert_eq!(args.lines, 3);
}

#[test]
fn every_wrong_value_is_told_with_its_place_and_the_remedy() {
    let text = "every = '5'\n  parsers = 0 # none\nstats = 'yes'\nby = 'a..b'\nmax-line = [1]\ntop = true\nevry = 1\n";
    let variables = [("TALLYLINE_EVERY", "soon"), ("TALLYLINE_QUIET", "maybe")];
    let lines = count(&["-"], &variables, text).unwrap_err();
    let time = "write a time such as 500ms, 5s, 1m or 1h30m";
    let expected = [
        format!("TALLYLINE_EVERY 'soon': {time}"),
        "TALLYLINE_QUIET 'maybe': write true or false".to_owned(),
        format!("job.toml:1:9: every '5': {time}"),
        "job.toml:2:13: parsers '0': give a number from 1 to 256".to_owned(),
        "job.toml:3:9: stats: write true or false, without quotes".to_owned(),
        "job.toml:4:6: by 'a..b': ".to_owned(),
        "job.toml:5:12: max-line: one value, not an array".to_owned(),
        "job.toml:6:7: top: neither true nor false; write the value in quotes".to_owned(),
        "job.toml:7:1: evry: no such setting; did you mean every?".to_owned(),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(&expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
}

#[test]
fn what_is_no_toml_is_told_line_by_line() {
    let lines = count(&["-"], &[], "by = status\nevery = '5'\ntop = = 3\n").unwrap_err();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for (line, place) in
        lines
            .iter()
            .zip(["job.toml:1:6: ", "job.toml:2:9: every '5'", "job.toml:3:"])
    {
        assert!(line.starts_with(place), "{line}");
    }
    let lines = count(&["-"], &[], "by = 'a'\nby = 'b'\n").unwrap_err();
    assert_eq!(lines, ["job.toml:2:1: duplicate key"]);
}

#[test]
fn a_flag_without_its_value_does_not_swallow_the_next() {
    let lines = resolve_with(&["count", "-", "--by", "--every"], &[]).unwrap_err();
    assert_eq!(
        lines,
        ["--by '--every': that is a flag; a value is missing before it"]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let lines = resolve_with(&["count", "-", "--config", "/no/such.toml"], &[]).unwrap_err();
    let expected =
        "--config '/no/such.toml': cannot read it: no such file or directory; check the path";
    assert_eq!(lines, [expected]);
    let lines = resolve_with(&["count", "-", "--config", "/"], &[]).unwrap_err();
    assert!(
        lines[0].starts_with("--config '/': cannot read it: is a directory"),
        "{lines:?}"
    );
}

#[test]
fn unknown_variables_bring_a_warning() {
    let variables = [
        ("TALLYLINE_EVRY", "1s"),
        ("TALLYLINE_", "x"),
        ("TALLY", "x"),
        ("TALLYLINE_LINES", "3"),
    ];
    let resolved = resolve_with(&["count", "-", "--by", "a"], &variables).unwrap();
    assert_eq!(
        resolved.warnings,
        [
            "TALLYLINE_: no such setting",
            "TALLYLINE_EVRY: no such setting; did you mean TALLYLINE_EVERY?"
        ]
    );
}

#[test]
fn settings_that_exclude_each_other_yield_to_the_higher() {
    let run = |flags: &[&str], text: &str| count(flags, &[], &format!("{JOB}{text}"));
    assert!(run(&["-v"], "quiet = true").is_ok());
    assert!(run(&["-q"], "verbose = 2").is_ok());
    assert!(run(&["-q"], "verbose = 0").is_ok());
    let lines = run(&[], "verbose = 2\nquiet = true").unwrap_err();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].contains("cannot go together with job.toml:"),
        "{lines:?}"
    );
}

/// A flag that is added must be settable in a file and in the environment; here all are.
#[test]
fn every_flag_can_be_set_in_a_file_and_in_the_environment() {
    const SAMPLES: [&str; 13] = [
        "1",
        "1s",
        "auto",
        "all",
        "1%",
        "table",
        "a=b",
        "exit",
        "earliest",
        "fail",
        "http://127.0.0.1:1",
        "final",
        "text",
    ];
    let table = Table::new();
    assert!(table.settings().len() > 15);
    for setting in table
        .settings()
        .iter()
        .filter(|setting| setting.name != CONFIG)
    {
        let (value, text) = match setting.kind {
            Kind::Switch => ("true", format!("{} = true", setting.name)),
            Kind::Counter => ("2", format!("{} = 2", setting.name)),
            Kind::One | Kind::Many => {
                let fits = |value: &&str| table.remedy(setting, OsStr::new(value)).is_none();
                let value = SAMPLES.into_iter().find(fits).expect(&setting.name);
                (value, format!("{} = {value:?}", setting.name))
            }
        };
        let mut wrong = Vec::new();
        let of_file = file::read(&table, "job.toml", text.as_bytes(), &mut wrong);
        let variable = [(OsString::from(&setting.variable), OsString::from(value))];
        let (of_environment, warnings) = environment::read(&table, variable, &mut wrong);
        assert_eq!(
            (&wrong[..], &warnings[..]),
            (&[][..], &[][..]),
            "{}",
            setting.name
        );
        for layer in [of_file, of_environment] {
            assert_eq!(layer[&setting.name][0].value, value, "{}", setting.name);
        }
    }
}

/// A flag that is given several times is an array in a file, and a line each in the environment.
#[test]
fn a_setting_with_several_values_is_taken_whole_from_one_place() {
    let command = clap::Command::new("count")
        .arg(
            clap::arg!(<source> "sources")
                .num_args(1..)
                .action(clap::ArgAction::Append),
        )
        .arg(
            clap::arg!(--by <PATH> "paths")
                .required(true)
                .action(clap::ArgAction::Append),
        )
        .arg(clap::arg!(--config <FILE> "a file"));
    let mut definition = clap::Command::new("tallyline").subcommand(command);
    definition.build();
    let table = Table::of(definition);
    let mut wrong = Vec::new();
    let text = "source = ['a b', \"-\"]\nby = 'one'\n";
    let of_file = || file::read(&table, "job.toml", text.as_bytes(), &mut Vec::new());
    let variables = [("TALLYLINE_BY".into(), "x,y\n\nz".into())];
    let (of_environment, _) = environment::read(&table, variables, &mut wrong);
    let args = ["tallyline", "count", "--by=q", "p", "r"].map(OsString::from);
    let matches = table.command_line(&args).unwrap();
    let of_flags = typed(&table, "count", matches.subcommand().unwrap().1, &mut wrong);
    let mut merged = |layers: [Layer; 3]| -> Vec<OsString> {
        let layer = overlay(&table, layers, &mut wrong);
        let arguments = |setting: &Setting| {
            let given = layer.get(&setting.name).map_or(&[][..], Vec::as_slice);
            let values: Vec<_> = given.iter().map(|given| given.value.as_os_str()).collect();
            setting.arguments(&values)
        };
        table.settings().iter().flat_map(arguments).collect()
    };
    assert_eq!(
        merged([Layer::new(), Layer::new(), of_file()]),
        ["a b", "-", "--by=one"]
    );
    let with_environment = merged([Layer::new(), of_environment.clone(), of_file()]);
    assert_eq!(with_environment, ["a b", "-", "--by=x,y", "--by=z"]);
    assert_eq!(
        merged([of_flags, of_environment, of_file()]),
        ["p", "r", "--by=q"]
    );
    let sheet = Sheet {
        table: table.clone(),
        layer: of_file(),
    };
    assert_eq!(
        sheet.to_string(),
        "source = [\"a b\", \"-\"]  # job.toml:1:11\nby = [\"one\"]  # job.toml:2:6\n"
    );
    assert_eq!(wrong, []);
}

#[test]
fn a_setting_means_the_same_to_every_command() {
    for command in definition().get_subcommands() {
        for arg in command.get_arguments() {
            let name = arg.get_long().unwrap_or(arg.get_id().as_str());
            let Some(setting) = Table::new().get(name).cloned() else {
                continue;
            };
            if setting
                .commands
                .iter()
                .any(|name| name == command.get_name())
            {
                let help = arg.get_help().map(ToString::to_string);
                assert_eq!(help, Some(setting.help()), "{} {name}", command.get_name());
                assert!(
                    arg.get_num_args()
                        .is_none_or(|n| n.max_values() <= 1 || arg.is_positional()),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn the_documentation_has_every_setting() {
    let page = include_str!("../../docs/settings.md");
    let table = documentation();
    for row in table.lines() {
        assert!(
            page.contains(row),
            "docs/settings.md lacks this row:\n{row}\nThe whole table:\n{table}"
        );
    }
}

#[test]
fn the_example_is_a_file_of_defaults() {
    let example = example();
    check_file(example.as_bytes());
    let defaults: String = example
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .filter(|line| {
            let name = line.split_once(" = ").map(|(name, _)| name);
            let setting = name.and_then(|name| Table::new().get(name).cloned());
            setting.is_some_and(|setting| !setting.defaults().is_empty())
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let args = count(&["-", "--by", "a"], &[], &defaults).unwrap();
    assert_eq!(args.stream.every, Duration::from_secs(5));
    assert!(defaults.lines().count() > 10, "{defaults}");
}

#[test]
fn what_is_printed_reads_the_same() {
    for text in [
        JOB,
        "",
        "verbose = 3\nstats = true\ntop = 'all'\n",
        "source = \"a\\u007F\\\"\\n\\u0000\"",
        "parsers = 0x10\nmax-keys = 1_000\nlines = \"007\"",
        "verbose = \"02\"",
    ] {
        check_file(text.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_text_is_settings_or_errors_in_their_places(
        lines in proptest::collection::vec("[a-z\\-]{1,8} ?=? ?[\"'\\[]?[a-z0-9\\.\u{e9}]{0,5}[\"'\\]]?", 0..6),
    ) {
        check_file(lines.join("\n").as_bytes());
    }
}
