//! Writes the seeds of every target into `fuzz/corpus/<target>`: run it in `fuzz/` before a run.
//!
//! Seeds are made, not collected, from the samples the tests use; the same every time.

use std::path::Path;
use std::{fs, io};

use fastrand::Rng;
use tallyline::framers::check;
use tallyline::framing::check::HEAD_BYTES;
use tallyline::record::samples::{PATHS, corner_cases, mutate, queries, record};

fn main() -> io::Result<()> {
    write("record", record_seeds())?;
    write("lane", lane_seeds())?;
    write("stream", stream_seeds())?;
    write("streams", streams_seeds())?;
    write("path", path_seeds())?;
    write("config", config_seeds())
}

/// Lines with a byte before them that picks a query.
fn record_seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(1);
    let mut lines = corner_cases();
    lines.retain(|line| line.len() <= 4096);
    for _ in 0..500 {
        let mut line = record(&mut rng);
        lines.push(line.clone());
        mutate(&mut rng, &mut line);
        lines.push(line);
    }
    let queries = queries().len();
    for (i, line) in lines.iter_mut().enumerate() {
        line.insert(0, (i % queries) as u8);
    }
    lines
}

/// Chunks of a few of those lines, some of them twice, so that shapes are met again.
fn lane_seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(2);
    let lines = record_seeds();
    let chunk = |i: usize| {
        let mut chunk = vec![(i % PATHS.len()) as u8];
        for _ in 0..rng.usize(1..8) {
            let line = &lines[rng.usize(..lines.len())][1..];
            for _ in 0..rng.usize(1..3) {
                chunk.extend_from_slice(line);
                chunk.push(b'\n');
            }
        }
        chunk
    };
    (0..500).map(chunk).collect()
}

/// Steps of several streams: short lines, long ones, ends.
fn streams_seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(4);
    let mut seed = |_| {
        let mut input: Vec<u8> = (0..check::HEAD_BYTES).map(|_| rng.u8(..)).collect();
        for _ in 0..rng.usize(1..60) {
            let what = rng.u8(..);
            input.extend([rng.u8(..), what]);
            let bytes = if what < 220 { what } else { 0 };
            input.extend(
                (0..bytes).map(|_| *rng.choice(b"xxxxxxxx\n\xEF\xBB\xBF").unwrap_or(&b'x')),
            );
        }
        input
    };
    (0..300).map(&mut seed).collect()
}

/// Streams of a few lines of every kind, behind random heads and the byte that picks a query.
fn stream_seeds() -> Vec<Vec<u8>> {
    let mut rng = Rng::with_seed(1);
    let mut corners = corner_cases();
    corners.retain(|line| line.len() <= 200);
    let mut stream = |lines: usize| {
        let mut seed: Vec<u8> = (0..=HEAD_BYTES).map(|_| rng.u8(..)).collect();
        if rng.u8(..4) == 0 {
            seed.extend_from_slice(b"\xEF\xBB\xBF");
        }
        for i in 0..lines {
            if i > 0 {
                seed.extend_from_slice(if rng.u8(..4) == 0 { b"\r\n" } else { b"\n" });
            }
            match rng.u8(..8) {
                0 => seed.extend_from_slice(&corners[rng.usize(..corners.len())]),
                1 => seed.resize(seed.len() + rng.usize(..300), b' '),
                kind => {
                    let mut line = record(&mut rng);
                    if kind == 2 {
                        mutate(&mut rng, &mut line);
                    }
                    seed.extend_from_slice(&line);
                }
            }
        }
        seed
    };
    (0..200).map(|i| stream(i % 12)).collect()
}

fn path_seeds() -> Vec<Vec<u8>> {
    const MORE: [&str; 12] = [
        "customer.address.country",
        "a[\"b.c\"].d",
        "a.[\"b\"][\"\\u00fc\\n\\\"\"]",
        "items[0].sku",
        "[\"\\ud83d\\ude00\"]",
        "a.0[10][2]",
        "/items/0/sku",
        "/a~1b/~0/~01/",
        "/01/-/99999999999999999999",
        "a..b",
        "a[01]",
        "[\"a",
    ];
    let paths = PATHS.iter().chain(&MORE);
    paths.map(|path| path.as_bytes().to_vec()).collect()
}

/// The example with every setting in use, each setting alone, and files with faults.
fn config_seeds() -> Vec<Vec<u8>> {
    const MORE: [&str; 9] = [
        "by = \"status\"\nevery = '5s' # five\n\nmax-keys = 1_000\nparsers = 0x2\n",
        "by = [\"a\", 'b']\nsource = [\n  \"-\", # first\n]\n",
        "by = \"\"\"\na\\u00e9\n\"\"\"\n",
        "stats = true\nquiet = false\nverbose = 2\n",
        "evry = 5\nby = true\ntop = { rows = 1 }\n[count]\nevery = 1\n",
        "by = status\nby = = 1\n\"by\" = 'a\n",
        "quiet = true\nverbose = 1\n",
        "every = 07:32:00\nlines = 1e3\ntop = inf\n",
        "\u{FEFF}by = 'a'\r\n",
    ];
    let example = tallyline::settings::example();
    let in_use = |line: &str| {
        line.strip_prefix("# ")
            .filter(|line| line.contains(" = "))
            .map(str::to_owned)
    };
    let lines: Vec<String> = example.lines().filter_map(in_use).collect();
    let mut seeds = vec![
        example.into_bytes(),
        lines.join("\n").into_bytes(),
        b"by = '\xFF'".to_vec(),
    ];
    seeds.extend(lines.into_iter().map(String::into_bytes));
    seeds.extend(MORE.iter().map(|text| text.as_bytes().to_vec()));
    seeds
}

/// One file for each seed, named by its number.
fn write(target: &str, seeds: Vec<Vec<u8>>) -> io::Result<()> {
    let folder = Path::new("corpus").join(target);
    fs::create_dir_all(&folder)?;
    for (i, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{i:05}")), seed)?;
    }
    Ok(())
}
