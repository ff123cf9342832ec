use std::fs;
use std::io;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::lane::Lane;

fn options(folder: &tempfile::TempDir, bytes_max: u64) -> RejectOptions {
    RejectOptions {
        path: folder.path().join("bad.jsonl"),
        bytes_max,
    }
}

/// A parser's thread that rejects these lines.
fn reject(
    rejecter: Rejecter,
    lane: &Arc<Lane>,
    lines: Vec<(Reason, Vec<u8>)>,
) -> thread::JoinHandle<()> {
    let lane = Arc::clone(lane);
    let mut rejecter = rejecter;
    thread::spawn(move || {
        lane.parser.adopt();
        for (reason, line) in lines {
            rejecter.offer(reason, &line);
        }
        rejecter.finish();
    })
}

#[test]
fn nothing_is_lost_on_the_way_from_several_parsers() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder, u64::MAX);
    let path = options.path.clone();
    let lanes: Vec<Arc<Lane>> = (0..3).map(|_| Arc::new(Lane::new(1))).collect();
    let file = RejectFile::open(options).unwrap();
    let (rejecters, writer) = connect(&lanes, file, 1 << 20);
    let lines = |parser: usize| -> Vec<(Reason, Vec<u8>)> {
        // Some longer than a block, most short.
        let length = |i: usize| {
            if i % 500 == 7 {
                2 * BLOCK_BYTES
            } else {
                i % 90
            }
        };
        let line = |i: usize| format!("{parser} {i} {}", "x".repeat(length(i))).into_bytes();
        (0..3000).map(|i| (Reason::Malformed, line(i))).collect()
    };
    let threads: Vec<_> = rejecters
        .into_iter()
        .enumerate()
        .map(|(parser, rejecter)| reject(rejecter, &lanes[parser], lines(parser)))
        .collect();
    let (rejected, failure) = writer.run();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(failure.is_none());
    assert_eq!(
        rejected,
        Rejected {
            saved: 9000,
            lost: 0
        }
    );
    let saved = fs::read(path).unwrap();
    for parser in 0..3 {
        let prefix = format!("{parser} ").into_bytes();
        let of_it = saved
            .split(|&byte| byte == b'\n')
            .filter(|line| line.starts_with(&prefix));
        assert!(
            of_it.eq(lines(parser).iter().map(|(_, line)| &line[..])),
            "parser {parser}"
        );
    }
}

#[test]
fn what_is_kept_of_each_kind() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder, u64::MAX);
    let path = options.path.clone();
    let lane = Arc::new(Lane::new(1));
    let file = RejectFile::open(options).unwrap();
    let (mut rejecters, writer) = connect(std::slice::from_ref(&lane), file, 3);
    let lines = Reason::ALL.map(|reason| (reason, reason.name().as_bytes().to_vec()));
    let parser = reject(rejecters.remove(0), &lane, lines.to_vec());
    let (rejected, _) = writer.run();
    parser.join().unwrap();
    assert_eq!(rejected.saved, 4);
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        "missing\nmalformed\nover\nlate\n"
    );
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_saving_and_every_line_that_it_costs_is_counted() {
    let lanes: Vec<Arc<Lane>> = (0..2).map(|_| Arc::new(Lane::new(1))).collect();
    let file = RejectFile::open(RejectOptions {
        path: "/dev/full".into(),
        bytes_max: 10,
    });
    let (rejecters, writer) = connect(&lanes, file.unwrap(), 1 << 20);
    let lines = || vec![(Reason::Malformed, vec![b'x'; 1000]); 1000];
    let threads: Vec<_> = rejecters
        .into_iter()
        .zip(&lanes)
        .map(|(rejecter, lane)| reject(rejecter, lane, lines()))
        .collect();
    let (rejected, failure) = writer.run();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(failure.unwrap().kind(), io::ErrorKind::StorageFull);
    assert_eq!(
        rejected,
        Rejected {
            saved: 0,
            lost: 2000
        }
    );
}

#[test]
fn a_file_is_continued_and_put_aside_when_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let options = options(&folder, 10);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    for (lines, current, old) in [
        ("1234\n", "1234\n", None),
        ("5678\n", "1234\n5678\n", None),
        ("9\n", "9\n", Some("1234\n5678\n")),
        (
            "longer than a file\nx\n",
            "x\n",
            Some("longer than a file\n"),
        ),
    ] {
        let mut file = RejectFile::open(options.clone()).unwrap();
        let mut rest = lines.as_bytes();
        file.write(&mut rest).unwrap();
        assert_eq!((rest.len(), &read("bad.jsonl")[..]), (0, current));
        if let Some(old) = old {
            assert_eq!(read("bad.jsonl.1"), old);
        }
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        2,
        "one old file is kept"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 50, ..Default::default() })]

    #[test]
    fn no_file_is_longer_than_it_may_be_and_the_newest_lines_are_there(
        blocks in proptest::collection::vec(proptest::collection::vec(0usize..20, 1..5), 1..12),
        bytes_max in 21u64..60,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RejectFile::open(options(&folder, bytes_max)).unwrap();
        let mut all = String::new();
        for block in &blocks {
            let lines: String = block.iter().map(|&length| format!("{}\n", "x".repeat(length))).collect();
            file.write(&mut lines.as_bytes()).unwrap();
            all += &lines;
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        let (old, new) = (read("bad.jsonl.1"), read("bad.jsonl"));
        prop_assert!(old.len().max(new.len()) as u64 <= bytes_max);
        let newest = format!("{old}{new}");
        prop_assert!(!new.is_empty() && all.ends_with(&newest));
        prop_assert!(all.len() as u64 <= bytes_max || !old.is_empty());
    }
}
