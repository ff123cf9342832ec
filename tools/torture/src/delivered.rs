//! What a sink has in the end, whatever was killed.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use tallyline::oracle::Oracle;

use crate::input::orders;
use crate::kills::Kills;
use crate::rounds::{FLAGS, Options, Outcome, folder, told};
use crate::verdict::{check, lines, oracle};

/// Counts files that appear in a folder into two files, of which one is put aside again and again and one is
/// compressed, killed so many times. Each is to have every batch once.
///
/// # Errors
/// What is different from an uninterrupted run.
pub fn delivered(options: &Options) -> Outcome {
    let here = folder();
    let io = |error: io::Error| told(options, &error.to_string());
    let (incoming, results) = (here.path().join("in"), here.path().join("out"));
    fs::create_dir(&incoming).map_err(io)?;
    fs::create_dir(&results).map_err(io)?;
    let state = here.path().join("state.db");
    let sinks = [
        format!("--to=rotate=100KiB file:{}/plain.jsonl", results.display()),
        format!("--to=file:{}/packed.jsonl.gz", results.display()),
    ];
    let flags: Vec<&str> = FLAGS
        .into_iter()
        .chain(sinks.iter().map(String::as_str))
        .collect();
    let sources = [format!("{}/", incoming.display())];
    let mut kills = Kills::new(
        &options.binary,
        &sources,
        &flags,
        state.clone(),
        options.seed,
        options.has_fault_points,
    );
    let mut oracle = oracle();
    let mut number = 0;
    while kills.done.kills < options.kills {
        let bytes = orders(options.seed.wrapping_add(number), 6_000);
        oracle.count(&bytes);
        let name = format!("{number}.jsonl");
        fs::write(here.path().join(&name), bytes).map_err(io)?;
        fs::rename(here.path().join(&name), incoming.join(&name)).map_err(io)?;
        number += 1;
        if let Some(status) = kills.kill_once() {
            return Err(told(options, &format!("it ended with {status}")));
        }
    }
    let wanted = oracle.ledger.lines;
    let status = kills.finish(|| lines(&state) >= wanted);
    if !status.success() {
        return Err(told(options, &format!("it ended with {status}")));
    }
    check(&state, &oracle).map_err(|difference| told(options, &difference))?;
    for stem in ["plain", "packed"] {
        let text = read_in_order(&results, stem).map_err(io)?;
        compare(&text, &oracle)
            .map_err(|difference| told(options, &format!("{stem}: {difference}")))?;
    }
    Ok(kills.done)
}

/// The text of a sink's files: those that were put aside, by number, and the last one.
fn read_in_order(folder: &Path, stem: &str) -> io::Result<String> {
    let mut files: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let mut parts = name.split('.');
        if parts.next() == Some(stem) {
            let number = parts.next().and_then(|part| part.parse().ok());
            files.push((number.unwrap_or(u64::MAX), path));
        }
    }
    files.sort();
    let mut text = String::new();
    for (_, path) in files {
        let file = fs::File::open(&path)?;
        match path.extension().is_some_and(|suffix| suffix == "gz") {
            true => MultiGzDecoder::new(file).read_to_string(&mut text)?,
            false => io::BufReader::new(file).read_to_string(&mut text)?,
        };
    }
    Ok(text)
}

/// Whether the batches follow each other, each once, and add up to what an oracle has counted.
fn compare(text: &str, oracle: &Oracle) -> Result<(), String> {
    let mut last = 0;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for line in text.lines() {
        let report: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let Some(batch) = report["batch"].as_u64() else {
            continue;
        };
        if batch != last + 1 {
            return Err(format!("batch {batch} follows batch {last}"));
        }
        last = batch;
        for row in report["counts"].as_array().into_iter().flatten() {
            *counts.entry(row["key"].to_string()).or_default() +=
                row["count"].as_u64().unwrap_or(0);
        }
    }
    let wanted = oracle.counts.iter();
    let wanted: BTreeMap<String, u64> = wanted
        .map(|(key, &count)| (Value::from(key.as_ref().text()).to_string(), count))
        .collect();
    match counts == wanted {
        true => Ok(()),
        false => Err(format!("the counts of {last} batches are other ones")),
    }
}
