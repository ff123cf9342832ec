//! `tallyline tap`: the first raw lines of every batch, and how many came. Nothing is parsed.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use jiff::tz::TimeZone;
use memchr::{memchr, memchr_iter};

use crate::chunk::{Chunk, Pool};
use crate::cli::{TapArgs, Voice};
use crate::clock::{Clock, SystemClock};
use crate::command::signals::{Signalled, Signals};
use crate::command::{say, where_listening};
use crate::config::{self, Whole};
use crate::error::Error;
use crate::lane::Mark;
use crate::live::Gauges;
use crate::reader::{Downstream, Reader, ReaderParts, ReaderPoll, Stop};
use crate::sink::text;

/// Chunks are taken one at a time; a few more let a long line grow.
const CHUNK_BYTES: usize = 256 * 1024;

/// Connections that may be in the middle of a long line at once.
const LONG_CONNECTIONS_MAX: usize = 8;

/// The rule above and below a batch's time, as `pprint()` draws it.
const RULE: &str = "-------------------------------------------";

pub(super) fn run(args: &TapArgs, voice: Voice) -> Result<(), Error> {
    let signals = Signals::wait(&[])?;
    let names = std::slice::from_ref(&args.source);
    let sources = config::open_sources(names, &args.stream, Whole::No, None)?;
    let poll = ReaderPoll::new().map_err(|error| Error::System("open a poll", error))?;
    let stop = poll.stop();
    signals.act_on(Signalled::run(stop.clone()));
    say(voice, &where_listening(&sources));
    let line_bytes_max = args.stream.max_line;
    let long_lines = 2 + LONG_CONNECTIONS_MAX;
    let pool_bytes = long_lines * CHUNK_BYTES.max(line_bytes_max + 1) + CHUNK_BYTES;
    let tap = Tap::new(
        io::stdout(),
        args.lines,
        args.batches,
        stop,
        TimeZone::system(),
    )
    .escaping(io::stdout().is_terminal());
    let reader = Reader::new(
        ReaderParts {
            gauges: Arc::new(Gauges::new(&sources)),
            sources,
            pool: Pool::new(CHUNK_BYTES, pool_bytes),
            downstream: tap,
            clock: Arc::new(SystemClock) as Arc<dyn Clock>,
            every_nanos: config::nanos(args.stream.every),
            first_batch: 1,
            line_bytes_max,
            send_bytes: CHUNK_BYTES / 2,
            long_connections_max: LONG_CONNECTIONS_MAX,
            fail_fast: true,
            event: None,
        },
        poll,
    );
    let (report, tap) = reader.run()?;
    tap.result.map_err(Error::Output)?;
    report.failure.map_or(Ok(()), Err)
}

/// Keeps the first lines of the open batch and counts the rest.
struct Tap<W> {
    writer: W,
    lines_max: usize,
    batches_left: Option<u64>,
    stop: Stop,
    zone: TimeZone,
    escapes: bool,
    shown: Vec<Vec<u8>>,
    lines: u64,
    result: io::Result<()>,
}

impl<W: Write> Tap<W> {
    fn new(
        writer: W,
        lines_max: usize,
        batches_left: Option<u64>,
        stop: Stop,
        zone: TimeZone,
    ) -> Tap<W> {
        Tap {
            writer,
            lines_max,
            batches_left,
            stop,
            zone,
            escapes: false,
            shown: Vec::new(),
            lines: 0,
            result: Ok(()),
        }
    }

    /// Whether lines are made safe to show on a terminal; otherwise they are written as they came.
    fn escaping(self, escapes: bool) -> Tap<W> {
        Tap { escapes, ..self }
    }

    fn print(&mut self, mark: &Mark) -> io::Result<()> {
        let mut out = Vec::new();
        writeln!(out, "{RULE}\nTime: {}\n{RULE}", mark.end.civil(&self.zone))?;
        for line in self.shown.drain(..) {
            match self.escapes {
                true => out.extend_from_slice(text::escape(&line).as_bytes()),
                false => out.extend_from_slice(&line),
            }
            out.push(b'\n');
        }
        if self.lines > self.lines_max as u64 {
            writeln!(out, "...")?;
        }
        let noun = if self.lines == 1 { "line" } else { "lines" };
        writeln!(out, "({} {noun})\n", text::grouped(self.lines))?;
        self.lines = 0;
        self.writer.write_all(&out)?;
        self.writer.flush()
    }
}

impl<W: Write> Downstream for Tap<W> {
    fn reclaim(&mut self, _: &mut Pool) {}

    fn has_room(&self) -> bool {
        true
    }

    fn is_done(&self) -> bool {
        true
    }

    fn is_idle(&self) -> bool {
        true
    }

    fn chunk(&mut self, chunk: Box<Chunk>, pool: &mut Pool) {
        let mut rest = chunk.lines();
        while self.shown.len() < self.lines_max && !rest.is_empty() {
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            self.shown.push(rest[..end].to_vec());
            self.lines += 1;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        self.lines += memchr_iter(b'\n', rest).count() as u64;
        self.lines += u64::from(rest.last().is_some_and(|&byte| byte != b'\n'));
        self.lines += chunk.oversize_lines;
        pool.put(chunk);
    }

    fn mark(&mut self, mark: &Mark) -> bool {
        let is_wanted = self.result.is_ok() && self.batches_left != Some(0);
        if is_wanted {
            self.result = self.print(mark);
            self.batches_left = self.batches_left.map(|left| left - 1);
        }
        if self.result.is_err() || self.batches_left == Some(0) {
            self.stop.stop();
        }
        true
    }
}
