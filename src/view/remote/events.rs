//! Server-sent events, read from a connection that may say anything.
//!
//! The lines of an event are gathered up to the blank one that ends it; those that are of no use here (`retry`, and
//! whatever a newer server may say) are passed over. A comment is heard too: it says that somebody is there.
//! Bounded: an event of more than [`EVENT_BYTES_MAX`] is none of ours, and ends the reading.

use std::io::{self, BufRead, Read};

/// The longest line of an event: a thousand keys of 512 bytes, escaped, fit many times.
const EVENT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What was heard.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// That somebody is there.
    Beat,
    /// An event.
    Event(Event),
}

/// An event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// By which the server knows what was heard last; as it was in the events before, if it has none.
    pub(super) id: String,
    /// What kind of event it is.
    pub(super) name: String,
    /// What it says.
    pub(super) data: String,
}

/// The events of a connection.
#[derive(Debug)]
pub(super) struct Events<R> {
    input: R,
    line: Vec<u8>,
    id: String,
}

impl<R: BufRead> Events<R> {
    pub(super) fn new(input: R) -> Events<R> {
        Events {
            input,
            line: Vec::new(),
            id: String::new(),
        }
    }

    /// What is heard next; waits for it. `None` at the end.
    ///
    /// # Errors
    /// Those of the connection, and one for an event that is too long.
    pub(super) fn next(&mut self) -> io::Result<Option<Heard>> {
        let mut event = Event::default();
        let mut has_data = false;
        loop {
            if !self.read_line()? {
                return Ok(None);
            }
            let line = String::from_utf8_lossy(self.line.trim_ascii_end());
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "" if !line.is_empty() => return Ok(Some(Heard::Beat)),
                "" if has_data => {
                    event.id.clone_from(&self.id);
                    return Ok(Some(Heard::Event(event)));
                }
                "id" => value.clone_into(&mut self.id),
                "event" => value.clone_into(&mut event.name),
                "data" => {
                    has_data = true;
                    value.clone_into(&mut event.data);
                }
                _ => {}
            }
        }
    }

    /// Reads a line; `false`: there are no more.
    fn read_line(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut input = (&mut self.input).take(EVENT_BYTES_MAX);
        input.read_until(b'\n', &mut self.line)?;
        let is_cut = self.line.len() as u64 == EVENT_BYTES_MAX;
        match self.line.ends_with(b"\n") {
            false if is_cut => Err(io::Error::other("an event without an end")),
            // What is cut off at the end was no event yet.
            is_whole => Ok(is_whole),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> Vec<Heard> {
        let mut events = Events::new(text);
        std::iter::from_fn(|| events.next().unwrap()).collect()
    }

    fn event(id: &str, name: &str, data: &str) -> Heard {
        let [id, name, data] = [id, name, data].map(str::to_owned);
        Heard::Event(Event { id, name, data })
    }

    #[test]
    fn events_and_beats_are_heard_and_the_rest_is_passed_over() {
        let text = b"retry: 1000\n\n:\n\nid: 5-1\nevent: batch\ndata: {\"a\": 1}\n\nevent: end\r\ndata: {}\r\n\r\nfoo\n: x\n";
        let heard = [
            Heard::Beat,
            event("5-1", "batch", "{\"a\": 1}"),
            event("5-1", "end", "{}"),
            Heard::Beat,
        ];
        assert_eq!(all(text), heard);
    }

    #[test]
    fn what_is_cut_off_is_no_event() {
        assert_eq!(all(b"id: 1\ndata: {}"), []);
        assert_eq!(all(b"id: 1\ndata: {}\n"), []);
        assert_eq!(all(b"data: \xff\n\n"), [event("", "", "\u{fffd}")]);
    }

    #[test]
    fn an_event_without_an_end_is_refused() {
        let mut events = Events::new(io::BufReader::new(io::repeat(b'x')));
        let error = events.next().unwrap_err();
        assert_eq!(error.to_string(), "an event without an end");
        assert!(events.line.len() as u64 <= EVENT_BYTES_MAX);
    }
}
