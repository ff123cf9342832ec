//! `tallyline state`: looking at state files, putting them aside, adding them up.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::{ExportFormat, ExportWhat, StateCommand};
use crate::clock::Timestamp;
use crate::error::{Error, reason};
use crate::sink::OutputFormat;
use crate::sink::text::grouped;
use crate::source::FileStage;
use crate::state::{self, Extent, Locked, Look, PastKind};

/// Runs that `show` tells of.
const RUNS_SHOWN: u32 = 5;

/// Files, and parts of other sources, that `show` tells of.
const SOURCES_SHOWN: usize = 20;

pub(super) fn run(command: &StateCommand) -> Result<(), Error> {
    let mut stdout = BufWriter::new(io::stdout());
    match command {
        StateCommand::Show(args) => {
            let text = shown(&Look::open(&args.file)?)?;
            write(&mut stdout, &text)
        }
        StateCommand::Check(args) => check(&Look::open(&args.file)?, &mut stdout),
        StateCommand::Export(args) => {
            let look = Look::open(&args.file)?;
            let format = match args.format {
                ExportFormat::Json => Some(OutputFormat::Json),
                ExportFormat::Csv => Some(OutputFormat::Csv),
                ExportFormat::Sql => None,
            };
            match (format, args.what) {
                (None, _) => look.print_sql(&mut stdout),
                (Some(format), ExportWhat::Totals) => look.print_totals(format, &mut stdout),
                (Some(format), ExportWhat::Batches) => {
                    look.print_history(PastKind::Batches, format, &mut stdout)
                }
                (Some(format), ExportWhat::Windows) => {
                    look.print_history(PastKind::Windows, format, &mut stdout)
                }
            }?;
            stdout.flush().map_err(Error::Output)
        }
        StateCommand::Reset(args) => {
            let aside = put_aside(&args.file)?;
            let text = format!("{} is {} now\n", args.file.display(), aside.display());
            write(&mut stdout, &text)
        }
        StateCommand::Merge(args) => {
            state::merge(&args.files, &args.output)?;
            let text = shown(&Look::open(&args.output)?)?;
            write(&mut stdout, &text)
        }
    }
}

fn write(stdout: &mut impl Write, text: &str) -> Result<(), Error> {
    let written = stdout.write_all(text.as_bytes());
    written.and_then(|()| stdout.flush()).map_err(Error::Output)
}

/// What a state holds, for people.
fn shown(look: &Look) -> Result<String, Error> {
    let saved = look.saved();
    let mut lines = vec![
        format!("state      {}", look.path().display()),
        format!("counted    {}", look.meaning()),
        match saved.batch {
            0 => "batch      none yet".to_owned(),
            batch => format!(
                "batch      {}, ended {}",
                grouped(batch),
                Timestamp::from_nanos(saved.end_ns)
            ),
        },
        format!("keys       {}", grouped(look.totals()?.keys())),
    ];
    let columns = saved.ledger.columns().into_iter().enumerate();
    for (number, (name, figure)) in columns {
        // Lines and counted ones are always there.
        if number < 2 || figure > 0 {
            lines.push(format!("{name:<9}  {}", grouped(figure)));
        }
    }
    for file in saved.files.iter().take(SOURCES_SHOWN) {
        let stage = match file.stage {
            FileStage::Open => "",
            FileStage::Done => ", read to its end",
            FileStage::Unwanted => ", passed over",
        };
        let offset = grouped(file.offset);
        lines.push(format!(
            "file       {}: counted to byte {offset}{stage}",
            file.name
        ));
    }
    for part in saved.parts.iter().take(SOURCES_SHOWN) {
        lines.push(format!(
            "part       {} {}: next {}",
            part.source, part.part, part.next
        ));
    }
    let hidden =
        [saved.files.len(), saved.parts.len()].map(|all| all.saturating_sub(SOURCES_SHOWN));
    if hidden != [0, 0] {
        lines.push(format!("           and {} more", hidden[0] + hidden[1]));
    }
    lines.extend(windows_shown(&look.extent()?));
    for run in look.runs(RUNS_SHOWN)? {
        let ended = match (run.ended, run.outcome) {
            (Some(ended), Some(outcome)) => format!("ended {ended}, {outcome}"),
            (Some(ended), None) => format!("ended {ended}"),
            (None, _) => "under way, or killed".to_owned(),
        };
        lines.push(format!(
            "run        {}, version {}, process {}, from batch {} on, {ended}: {}",
            run.started,
            run.version,
            run.pid,
            grouped(run.first_batch),
            run.sources
        ));
    }
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}

/// What there is of windows and of the history.
fn windows_shown(extent: &Extent) -> Vec<String> {
    let mut lines = Vec::new();
    let parts = [(extent.slots, "batches"), (extent.panes, "panes")];
    for (count, name) in parts.iter().filter(|(count, _)| *count > 0) {
        lines.push(format!("windows    open, of {} {name}", grouped(*count)));
    }
    if let Some(since) = extent.since {
        lines.push(format!(
            "history    {} batches since {since}, {} windows",
            grouped(extent.batches),
            grouped(extent.windows)
        ));
    }
    lines
}

fn check(look: &Look, stdout: &mut impl Write) -> Result<(), Error> {
    let faults = look.faults()?;
    let path = look.path().display();
    if faults.is_empty() {
        let (lines, keys) = (look.saved().ledger.lines, look.totals()?.keys());
        let text = format!(
            "{path}: sound; {} lines, {} keys\n",
            grouped(lines),
            grouped(keys)
        );
        return write(stdout, &text);
    }
    let text: String = faults.iter().map(|fault| format!("{fault}\n")).collect();
    write(stdout, &text)?;
    Err(Error::Differs(format!(
        "{path}: not sound ({} found); restore a copy of it, or begin anew after 'tallyline state reset'",
        faults.len()
    )))
}

/// Gives a state file another name, whatever is in it. Returns that name.
fn put_aside(path: &Path) -> Result<PathBuf, Error> {
    let failed = |error: &io::Error| Error::State(format!("{}: {}", path.display(), reason(error)));
    fs::metadata(path).map_err(|error| failed(&error))?;
    let _lock = Locked::take(path)?;
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut aside = with(path, ".old");
    for number in 2.. {
        if !aside.exists() {
            break;
        }
        aside = with(path, &format!(".old{number}"));
    }
    // The log of what is not in the database yet belongs to it, and goes first: a database without its log
    // is an older one.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with(path, suffix), with(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error)),
            _ => {}
        }
    }
    Ok(aside)
}
