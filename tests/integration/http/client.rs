//! A client of HTTP/1.1 that does nothing of its own accord.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// A test that hangs fails instead.
const PATIENCE: Duration = Duration::from_secs(30);

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The value of a field; empty if there is none.
    pub(super) fn field(&self, name: &str) -> &str {
        let mut fields = self.fields.iter();
        let field = fields.find(|(other, _)| other == name);
        field.map_or("", |(_, value)| value)
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(self.text()).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }
}

pub(super) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends these bytes on a connection of their own and reads the answer to the end.
pub(super) fn send(address: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let split = split.unwrap_or_else(|| panic!("no head: {}", String::from_utf8_lossy(&bytes)));
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let fields = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    });
    Answer {
        status: status.parse().unwrap(),
        fields: fields.collect(),
        body: bytes[split + 4..].to_vec(),
    }
}

/// Asks for a path, with more fields, each ended by a line's end.
pub(super) fn get_with(address: SocketAddr, path: &str, fields: &str) -> Answer {
    let host = match fields.to_lowercase().contains("host:") {
        true => String::new(),
        false => format!("host: {address}\r\n"),
    };
    send(
        address,
        &format!("GET {path} HTTP/1.1\r\n{host}connection: close\r\n{fields}\r\n"),
    )
}

pub(super) fn get(address: SocketAddr, path: &str) -> Answer {
    get_with(address, path, "")
}

/// An event of a stream.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) id: String,
    pub(super) data: Value,
}

/// A stream of events.
pub(super) struct Events {
    lines: BufReader<TcpStream>,
}

impl Events {
    /// Opens the stream, having seen the event of this id, if any.
    pub(super) fn open(address: SocketAddr, last: Option<&str>) -> Events {
        let mut stream = connect(address);
        let last = last.map(|id| format!("last-event-id: {id}\r\n"));
        let request = format!(
            "GET /events HTTP/1.1\r\nhost: {address}\r\n{}\r\n",
            last.unwrap_or_default()
        );
        stream.write_all(request.as_bytes()).unwrap();
        Events {
            lines: BufReader::new(stream),
        }
    }

    /// The next event; `None` if the stream has ended.
    pub(super) fn next(&mut self) -> Option<Event> {
        let (mut name, mut id) = (String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 || line.trim_end() == "0" {
                return None;
            }
            // Other lines are of the head, or sizes of pieces: each event is a piece.
            match line.trim_end().split_once(": ") {
                Some(("event", value)) => value.clone_into(&mut name),
                Some(("id", value)) => value.clone_into(&mut id),
                Some(("data", value)) => {
                    let data = serde_json::from_str(value).unwrap();
                    return Some(Event { name, id, data });
                }
                _ => {}
            }
        }
    }
}
