//! Lines laid out in time: cut anywhere, with stalls, and with ends that they must survive.
//!
//! The bytes of a stream arrive in pieces of any size, at once or after a stall. In between the stream may end:
//! in good order, then what has come of a line is a line; or torn, then it is none. What follows depends on the
//! sender: one that cannot replay goes on with the next line ([`Sender::Forgets`]), one that can begins the line
//! anew ([`Sender::Repeats`]).

use fastrand::Rng;
use tallyline::clock::Timestamp;
use tallyline::source::ScriptEvent;

/// What a sender does after its stream ended within a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Goes on with the line after it.
    Forgets,
    /// Sends it again from its beginning; its streams end torn.
    Repeats,
}

/// How lines are laid out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The largest piece in bytes.
    pub(crate) piece_bytes_max: usize,
    /// How often a piece comes after a stall, of a hundred.
    pub(crate) stalls_percent: u32,
    /// The longest stall in milliseconds.
    pub(crate) stall_ms_max: u64,
    /// How often a stream ends behind a piece, of a hundred.
    pub(crate) ends_percent: u32,
}

/// A line, and where and when it was whole.
#[derive(Clone, Debug)]
pub(crate) struct LaidLine {
    pub(crate) at: Timestamp,
    pub(crate) bytes: Vec<u8>,
    /// The bytes that had arrived with its last one, newline included.
    pub(crate) arrived: u64,
}

impl LaidLine {
    /// A line that is there `at` a time, all at once.
    pub(crate) fn new(at: Timestamp, bytes: Vec<u8>) -> LaidLine {
        LaidLine {
            at,
            bytes,
            arrived: 0,
        }
    }
}

/// What arrives, and what is to be made of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Laid {
    pub(crate) events: Vec<(Timestamp, ScriptEvent)>,
    pub(crate) lines: Vec<LaidLine>,
    pub(crate) torn_lines: u64,
    /// When the last of it arrives.
    pub(crate) end: Timestamp,
}

/// Lays out `lines`, none of which has a newline, from `start` on.
pub(crate) fn lay_out(
    rng: &mut Rng,
    lines: &[Vec<u8>],
    start: Timestamp,
    style: Style,
    sender: Sender,
) -> Laid {
    let mut laid = Laid {
        end: start,
        ..Laid::default()
    };
    // Where the next piece begins: a line, and a byte of it.
    let (mut number, mut from) = (0, 0);
    let mut arrived = 0;
    // The last line within which the stream ended: it comes through the next time.
    let mut broken = None;
    while number < lines.len() {
        if rng.u32(..100) < style.stalls_percent {
            laid.end = laid
                .end
                .plus_nanos(rng.u64(1..=style.stall_ms_max) * 1_000_000);
        }
        let mut piece = Vec::new();
        let bytes = rng.usize(1..=style.piece_bytes_max);
        while piece.len() < bytes && number < lines.len() {
            let line = &lines[number];
            let some = &line[from..line.len().min(from + bytes - piece.len())];
            piece.extend_from_slice(some);
            from += some.len();
            if piece.len() < bytes {
                piece.push(b'\n');
                laid.lines.push(LaidLine {
                    at: laid.end,
                    bytes: line.clone(),
                    arrived: arrived + piece.len() as u64,
                });
                (number, from) = (number + 1, 0);
            }
        }
        arrived += piece.len() as u64;
        laid.events.push((laid.end, ScriptEvent::Bytes(piece)));
        let may_end = number < lines.len() && broken != Some(number);
        if may_end && rng.u32(..100) < style.ends_percent {
            broken = Some(number);
            let torn = sender == Sender::Repeats || rng.bool();
            laid.events
                .push((laid.end, ScriptEvent::StreamEnd { torn }));
            if from > 0 {
                if torn {
                    laid.torn_lines += 1;
                } else {
                    laid.lines.push(LaidLine {
                        at: laid.end,
                        bytes: lines[number][..from].to_vec(),
                        arrived,
                    });
                }
                number += usize::from(sender == Sender::Forgets);
                from = 0;
            }
        }
    }
    laid
}
