//! `tallyline verify`: the files counted again by the oracle, and the state compared with that.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use crate::cli::VerifyArgs;
use crate::error::Error;
use crate::key::Key;
use crate::oracle::Oracle;
use crate::record::time::TimeFormat;
use crate::record::{Condition, KeyPath, Query};
use crate::sink::Row;
use crate::sink::text::grouped;
use crate::source::{self, FileOffset, FileStage, KnownFiles, OnReplaced};
use crate::state::{Look, Meaning};

pub(super) fn run(args: &VerifyArgs) -> Result<(), Error> {
    let look = Look::open(&args.state)?;
    let late = look.saved().ledger.late;
    if late > 0 {
        return Err(Error::State(format!(
            "{}: {} lines came too late for their windows, and the files do not tell which; only a state without such can be verified",
            args.state.display(),
            grouped(late)
        )));
    }
    let mut oracle = oracle(&look)?;
    let known = KnownFiles::new(look.saved().files.clone(), OnReplaced::Fail);
    let mut verified = Vec::new();
    for path in &args.files {
        verified.push(count(&mut oracle, path, &known)?.inode);
    }
    for file in &look.saved().files {
        if file.offset > 0 && !verified.contains(&file.inode) {
            tracing::warn!(
                "{} is counted in the state too, and not named here",
                file.name
            );
        }
    }
    let differences = differences(&look, &oracle)?;
    let mut stdout = io::stdout().lock();
    let text: String = differences.iter().map(|line| format!("{line}\n")).collect();
    stdout.write_all(text.as_bytes()).map_err(Error::Output)?;
    if differences.is_empty() {
        let text = format!(
            "{}: the same; {} lines, {} keys\n",
            args.state.display(),
            grouped(oracle.ledger.lines),
            grouped(oracle.counts.len() as u64)
        );
        return stdout.write_all(text.as_bytes()).map_err(Error::Output);
    }
    Err(Error::Differs(format!(
        "{}: not what is in the files",
        args.state.display()
    )))
}

/// An oracle that counts what the state's totals mean.
fn oracle(look: &Look) -> Result<Oracle, Error> {
    let meaning = look.meaning();
    let line_bytes_max = meaning.values("max-line").next();
    match (
        query(meaning),
        line_bytes_max.and_then(|max| max.parse().ok()),
    ) {
        (Some(query), Some(max)) => Ok(Oracle::new(query, max)),
        _ => Err(Error::State(format!(
            "{}: no settings that this program knows",
            look.path().display()
        ))),
    }
}

/// What was asked of every record.
fn query(meaning: &Meaning) -> Option<Query> {
    let by: Result<Vec<_>, _> = meaning.values("by").map(KeyPath::parse).collect();
    let conditions: Result<Vec<_>, _> = meaning.values("where").map(Condition::parse).collect();
    let by = by.ok().filter(|by| !by.is_empty())?;
    let sum = meaning.values("sum").next().map(KeyPath::parse);
    let query = Query::new(by, conditions.ok()?, sum.transpose().ok()?).ok()?;
    let Some(time) = meaning.values("event-time").next() else {
        return Some(query);
    };
    let format = meaning.values("event-time-format").next();
    let format = TimeFormat::parse(format?).ok()?;
    query.with_time(KeyPath::parse(time).ok()?, format).ok()
}

/// Counts a file as far as it is counted in the state. Returns which it is.
fn count(oracle: &mut Oracle, path: &Path, known: &KnownFiles) -> Result<FileOffset, Error> {
    let name = path.display().to_string();
    let failed = |error: io::Error| source::failed(&name, "read", &error);
    let file = File::open(path).map_err(failed)?;
    let end = known.begin(path, &file)?;
    let stream = source::stream(file).map_err(failed)?;
    // One that was read to its end has its last line, with or without newline.
    let limit = match end.stage {
        FileStage::Done => u64::MAX,
        _ => end.offset,
    };
    if end.offset == 0 && end.stage != FileStage::Done {
        tracing::warn!("{name} is not counted in the state");
    }
    oracle
        .count_stream(&mut BufReader::new(stream.take(limit)))
        .map_err(failed)?;
    Ok(end)
}

/// Each sum that is another in the state, of keys that are in both.
fn different_sums(rows: &[Row<'_>], oracle: &Oracle) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let state = row.sums.map(|sums| sums.total.to_string());
        let files = oracle.sums.get(&row.key.to_key());
        if let (Some(state), Some(files)) = (state, files.map(ToString::to_string))
            && state != files
        {
            lines.push(format!(
                "sum of {:?}: {state} in the state, {files} in the files",
                row.key
            ));
        }
    }
    lines
}

/// Each figure that is another in the state.
fn differences(look: &Look, oracle: &Oracle) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    let columns = look.saved().ledger.columns().into_iter();
    for ((name, state), (_, files)) in columns.zip(oracle.ledger.columns()) {
        if state != files {
            lines.push(format!(
                "{name}: {state} in the state, {files} in the files"
            ));
        }
    }
    let unsummed = (look.saved().ledger.unsummed, oracle.ledger.unsummed);
    if unsummed.0 != unsummed.1 {
        let (state, files) = unsummed;
        lines.push(format!(
            "unsummed: {state} in the state, {files} in the files"
        ));
    }
    let totals = look.totals()?;
    let (rows, _) = totals.total_rows(None);
    lines.extend(different_sums(&rows, oracle));
    let mut state: BTreeMap<Key, u64> = rows
        .iter()
        .map(|row| (row.key.to_key(), row.total))
        .collect();
    for (key, &files) in &oracle.counts {
        let state = state.remove(key).unwrap_or(0);
        if state != files {
            lines.push(format!(
                "key {:?}: {state} in the state, {files} in the files",
                key.as_ref()
            ));
        }
    }
    for (key, state) in &state {
        lines.push(format!(
            "key {:?}: {state} in the state, 0 in the files",
            key.as_ref()
        ));
    }
    Ok(lines)
}
