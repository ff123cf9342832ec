//! Checks of the lane against the slow parser and the oracle, for property tests and fuzz targets.
//!
//! Each takes whatever input there is and panics, with both answers, where two differ.

use super::index::{Escape, Index, Portable, SEGMENT_BYTES_MAX, Simd};
use super::{BailReason, Instructions, Level};
use crate::oracle::Oracle;
use crate::record::check::Verdicts;
use crate::record::{LineSink, Query, RecordParser, each_line};

/// The line limit that [`check_chunk`] sets, in bytes: low enough for a fuzzer to reach, and high
/// enough for some lines to share a segment.
pub const LINE_BYTES_MAX: usize = 512;

/// How often each reason for a bail has come, over all levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bails(pub [u64; BailReason::ALL.len()]);

/// Checks the verdicts on the lines of a chunk: of the oracle, of the slow parser, and of the lane
/// with each level that this CPU has.
///
/// The chunk is judged with two line limits, the lower of which makes many segments of it, and
/// twice in a row, so that what the lane remembers of the first round is used in the second.
///
/// # Panics
///
/// If any two differ.
pub fn check_chunk(query: &Query, chunk: &[u8]) -> Bails {
    let mut bails = Bails::default();
    check_index(chunk);
    for line_bytes_max in [LINE_BYTES_MAX, 1 << 20] {
        let mut twice = chunk.to_vec();
        if !chunk.is_empty() && !chunk.ends_with(b"\n") {
            twice.push(b'\n');
        }
        twice.extend_from_slice(chunk);

        let oracle = Oracle::new(query.clone(), line_bytes_max);
        let mut expected = Verdicts::default();
        let (mut numbers, mut times) = (Vec::new(), Vec::new());
        each_line(&twice, |line| match oracle.verdict(line) {
            Ok(key) => {
                expected.counted(key.as_ref());
                numbers.extend(query.sum().map(|_| oracle.number(line)));
                times.extend(query.time().map(|_| oracle.time(line)));
            }
            Err(reason) => expected.dropped(reason, line),
        });
        for level in [None].into_iter().chain(Level::ALL.map(Some)) {
            let mut parser = RecordParser::with_level(query.clone(), line_bytes_max, level);
            let mut verdicts = Verdicts::default();
            let lines = parser.chunk(&twice, &mut verdicts);
            assert_eq!(
                lines,
                expected.0.len() as u64,
                "lines; {level:?}, by {query}"
            );
            for (line, (got, expected)) in verdicts.0.iter().zip(&expected.0).enumerate() {
                assert_eq!(
                    got,
                    expected,
                    "{level:?}, oracle; by {query}; line {line} of {:?}",
                    String::from_utf8_lossy(&twice)
                );
            }
            assert_eq!(
                verdicts.0.len(),
                expected.0.len(),
                "verdicts; {level:?}, by {query}"
            );
            let summed = verdicts.1.iter().map(|number| Some((*number)?.to_string()));
            assert!(
                summed.eq(numbers.iter().cloned()),
                "numbers; {level:?}, by {query}; {:?}, oracle {numbers:?}; {:?}",
                verdicts.1,
                String::from_utf8_lossy(&twice)
            );
            let timed = verdicts.2.iter().map(|&nanos| Some(nanos));
            assert!(
                timed.eq(times.iter().copied()),
                "times; {level:?}, by {query}; {:?}, oracle {times:?}; {:?}",
                verdicts.2,
                String::from_utf8_lossy(&twice)
            );
            for (reason, count) in parser.fast().into_iter().flat_map(|fast| fast.bails()) {
                bails.0[reason as usize] += count;
            }
        }
    }
    bails
}

/// Checks that each level this CPU has gives the portable level's index.
///
/// # Panics
///
/// If one does not.
pub fn check_index(text: &[u8]) {
    for text in text.chunks(SEGMENT_BYTES_MAX) {
        let expected = slots(Portable, text);
        for level in Level::ALL {
            let got = match Instructions::detect(level) {
                None | Some(Instructions::Portable(_)) => continue,
                #[cfg(target_arch = "x86_64")]
                Some(Instructions::Avx2(simd)) => slots(simd, text),
                #[cfg(target_arch = "x86_64")]
                Some(Instructions::Avx512(simd)) => slots(simd, text),
            };
            assert_eq!(
                got,
                expected,
                "{level:?}, portable; {:?}",
                String::from_utf8_lossy(text)
            );
        }
    }
}

/// The slots of a text as positions and kinds, its escapes, and whether it is ASCII.
fn slots<S: Simd>(simd: S, text: &[u8]) -> (Vec<(u16, u8)>, Vec<Escape>, bool) {
    let mut index = Index::new();
    let is_ascii = simd.index(text, &mut index);
    let slots = index
        .positions
        .iter()
        .copied()
        .zip(index.kinds.iter().copied());
    (slots.take(index.len).collect(), index.escapes, is_ascii)
}
