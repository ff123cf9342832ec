//! What the documentation says, done.
//!
//! - A `console` block is run: each document's, one after the other, by bash in an empty folder, and everything
//!   printed compared with what stands there. Times, lengths of time and rates may be others; `...` alone on a
//!   line stands for any lines, as in snapbox.
//! - In `sh` blocks, which may want a network or another program, every `tallyline` command must be one that the
//!   program understands: no flag that is not there, no value that is refused.
//! - Links to files and headings lead somewhere.
//!
//! A page of `docs/` is taken in by being there.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use regex::Regex;
use tallyline::settings::{self, Refusal};

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page for users, by its path from the root.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let names = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut pages: Vec<String> = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .chain(
            [
                "README.md",
                "ARCHITECTURE.md",
                "CHANGELOG.md",
                "benches/README.md",
            ]
            .map(str::to_owned),
        )
        .collect();
    pages.sort();
    pages
}

fn text_of(page: &str) -> String {
    fs::read_to_string(root().join(page)).unwrap()
}

/// The blocks of a page that are fenced as this language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    text.split(&opening)
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
        .collect()
}

/// A command of a `console` block, with what it is said to print.
#[derive(Debug, Default)]
struct Step {
    command: String,
    output: String,
}

/// The steps of a page's `console` blocks. A command goes on behind a `\` at its line's end, and a here-document to its
/// `END`.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_command = false;
    for line in blocks(text, "console")
        .iter()
        .flat_map(|block| block.lines())
    {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step::default());
            is_command = true;
            push_line(&mut steps, |step| &mut step.command, command);
        } else if is_command {
            push_line(&mut steps, |step| &mut step.command, line);
        } else {
            push_line(&mut steps, |step| &mut step.output, line);
        }
        let command = &steps.last().expect("a block begins with a command").command;
        let is_open = command.contains("<<'END'") && !command.ends_with("END\n");
        is_command = is_command && (is_open || command.ends_with("\\\n"));
    }
    steps
}

fn push_line(steps: &mut [Step], field: fn(&mut Step) -> &mut String, line: &str) {
    let step = steps.last_mut().expect("a block begins with a command");
    let text = field(step);
    text.push_str(line);
    text.push('\n');
}

/// What stands between two steps' outputs: no program prints it.
const SEPARATOR: &str = "\u{1f}";

/// A port for who wants the documented one: free, and none that the system gives to who asks for any.
fn free_port() -> u16 {
    let mut ports = std::iter::repeat_with(|| fastrand::u16(20_000..32_000));
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    ports.find(is_free).expect("it goes on for ever")
}

/// Runs the steps in one bash in an empty folder; what each printed, and its exit status.
fn run(steps: &[Step]) -> Vec<(String, i32)> {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port().to_string();
    let mut script = "exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null' EXIT\n".to_owned();
    for step in steps {
        script.push_str(&step.command.replace("9998", &port));
        script.push_str(&format!(
            "s=$?; printf '{SEPARATOR}%s{SEPARATOR}' $s; (exit $s)\n"
        ));
    }
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(folder.path())
        .env("PATH", path())
        // A boundary of the clock between two lines of a file would make two batches of them.
        .env("TALLYLINE_EVERY", "24h")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout)
        .unwrap()
        .replace(&port, "9998");
    let mut parts = text.split(SEPARATOR);
    let mut results = Vec::new();
    while let (Some(printed), Some(status)) = (parts.next(), parts.next()) {
        results.push((printed.to_owned(), status.parse().unwrap()));
    }
    assert_eq!(results.len(), steps.len(), "bash gave up:\n{text}");
    results
}

/// Where the programs are that the pages use: this build's before all others.
pub(crate) fn path() -> OsString {
    let built = Path::new(env!("CARGO_BIN_EXE_tallyline")).parent().unwrap();
    if !built.join("loadgen").exists() {
        // A test of this package alone does not build the other's program.
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "tallyline-loadgen"])
            .arg("--target-dir")
            .arg(built.parent().unwrap())
            .current_dir(root())
            .status()
            .unwrap();
        assert!(status.success());
    }
    let others = std::env::var_os("PATH").unwrap_or_default();
    let others = std::env::split_paths(&others);
    std::env::join_paths([built.to_path_buf()].into_iter().chain(others)).unwrap()
}

/// A text without what differs from run to run: times, lengths of time, rates, and the width of columns that
/// comes of them.
fn settled(text: &str) -> String {
    let volatile = [
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?", "<time>"),
        (r"– \d\d:\d\d:\d\d", "– <time>"),
        (r"\d[\d.,]* (records|[kMG]?B)/s", "<rate>"),
        // A bound that is printed may become another with any change.
        (r"\d[\d.,]* [kMG]?B\b", "<bytes>"),
        (r"\d[\d.,]* (ns|µs|ms|s|min)\b", "<length>"),
        // Behind a share stands a rate.
        (r"% +\d[\d.,]*", "% <rate>"),
        (r"process \d+", "process <number>"),
        (r" {2,}", "  "),
    ];
    volatile
        .iter()
        .fold(text.to_owned(), |text, (pattern, instead)| {
            Regex::new(pattern)
                .unwrap()
                .replace_all(&text, *instead)
                .into_owned()
        })
}

/// Runs a page's `console` blocks.
fn follow(page: &str) {
    let steps = steps(&text_of(page));
    assert!(!steps.is_empty(), "{page} shows nothing");
    let mut expected = String::new();
    let mut actual = String::new();
    let results = run(&steps);
    for (number, (step, (printed, status))) in steps.iter().zip(&results).enumerate() {
        expected.push_str(&format!("$ {}{}", step.command, step.output));
        actual.push_str(&format!("$ {}{printed}", step.command));
        let next = steps.get(number + 1);
        let is_told = step.output.starts_with("tallyline: ")
            || next.is_some_and(|next| next.command == "echo $?\n");
        assert!(
            *status == 0 || is_told,
            "{page}: $ {}{printed}exit status {status}",
            step.command
        );
    }
    snapbox::assert_data_eq!(
        settled(&actual),
        snapbox::Data::text(settled(&expected)).raw()
    );
}

/// Checks that the program understands every `tallyline` command of a line.
pub(crate) fn understand(line: &str) {
    let folder = tempfile::tempdir().unwrap();
    let job = folder.path().join("job.toml");
    fs::write(&job, "source = \"-\"\nby = \"status\"\n").unwrap();
    let line = &line.replace("$TEST_KINESIS", "http://127.0.0.1:9");
    let words = shlex::split(line).unwrap_or_else(|| panic!("quotes that do not close: {line}"));
    let operators = ["|", "<", ">", ">>", "2>", "&", "&&", ";"];
    for command in words.split(|word| operators.contains(&word.as_str())) {
        let is_assignment = |word: &&String| {
            let name = word.split('=').next().unwrap_or_default();
            word.contains('=')
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        let command: Vec<&String> = command.iter().skip_while(is_assignment).collect();
        if command
            .first()
            .is_none_or(|program| *program != "tallyline")
        {
            continue;
        }
        let argument = |word: &&String| match word.as_str() {
            "job.toml" => job.as_os_str().to_owned(),
            word => word.into(),
        };
        let args: Vec<OsString> = command.iter().map(argument).collect();
        match settings::resolve(&args, []) {
            Ok(_) => {}
            Err(Refusal::CommandLine(error)) if error.exit_code() == 0 => {}
            Err(refusal) => panic!("{line}\n{refusal:?}"),
        }
    }
}

#[test]
fn what_pages_show_is_what_happens() {
    let pages = pages();
    let shown = pages
        .iter()
        .filter(|page| text_of(page).contains("```console\n"));
    let shown: Vec<&String> = shown.collect();
    assert!(shown.len() > 4, "{shown:?} of {pages:?}");
    for page in shown {
        follow(page);
    }
}

#[test]
fn every_command_of_the_pages_is_understood() {
    for page in pages() {
        for block in blocks(&text_of(&page), "sh") {
            let block = block.replace("\\\n", " ");
            // A here-document's lines are no commands.
            let commands = block.lines().filter(|line| line.contains("tallyline "));
            commands.for_each(understand);
        }
    }
}

/// Where GitHub takes a link to a heading.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| {
        line.trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
    });
    let kept = |c: char| c.is_alphanumeric() || [' ', '-', '_'].contains(&c);
    headings
        .map(|heading| {
            heading
                .to_lowercase()
                .chars()
                .filter(|&c| kept(c))
                .collect::<String>()
                .replace(' ', "-")
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    for page in pages() {
        let text = text_of(&page);
        for target in link.captures_iter(&text).map(|found| found[1].to_owned()) {
            if target.contains("://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = match file {
                "" => root().join(&page),
                file => root().join(&page).parent().unwrap().join(file),
            };
            assert!(path.exists(), "{page}: {target}");
            let is_there =
                || anchors(&fs::read_to_string(&path).unwrap()).contains(&anchor.to_owned());
            assert!(anchor.is_empty() || is_there(), "{page}: {target}");
        }
    }
}

#[test]
fn figures_are_those_of_a_record() {
    let record = Regex::new(r"benches/record/([^/)]+)/results.md").unwrap();
    let figure = Regex::new(r"\d+\.\d{3} s").unwrap();
    let text = text_of("README.md");
    let results = record.captures(&text).expect("the README links the record")[1].to_owned();
    let results = text_of(&format!("benches/record/{results}/results.md"));
    let figures: Vec<&str> = figure
        .find_iter(&text)
        .map(|found| found.as_str())
        .collect();
    assert!(figures.len() > 10, "{figures:?}");
    for figure in figures {
        assert!(results.contains(figure), "{figure} is in no record");
    }
}
