//! The HTTP server, asked over real sockets: what it says is what the sinks print, who may ask, and what becomes of
//! those who ask too much.

mod access;
mod answers;
mod client;
mod events;
mod floods;
mod history;
mod rules;
mod sinks;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tallyline::clock::{Timestamp, VirtualClock};
use tallyline::http::{Bound, Limits, Options, Server};
use tallyline::live::LiveSettings;
use tallyline::pipeline::{Pipeline, Settings};
use tallyline::record::KeyPath;
use tallyline::sink::{OutputFormat, SinkOptions};
use tallyline::source::{Script, ScriptEvent, Source};
use tallyline::state::{Meaning, State};
use tallyline::window::{WindowSettings, WindowSpec};

const SECOND: u64 = 1_000_000_000;

/// A server's settings: a free port, no token.
fn options() -> Options {
    Options {
        address: "127.0.0.1:0".to_owned(),
        token_file: None,
        cert: None,
        key: None,
        metrics_keys: 3,
        limits: Limits::default(),
    }
}

/// A token file in a folder of its own.
fn token_file(token: &str) -> (tempfile::TempDir, PathBuf) {
    let here = tempfile::tempdir().unwrap();
    let path = here.path().join("token");
    std::fs::write(&path, format!("{token}\n")).unwrap();
    (here, path)
}

/// A run on virtual time that is over, still served: twelve batches of a second, six keys, some of them hostile.
struct Over {
    server: Server,
    json: Vec<serde_json::Value>,
    csv: String,
}

impl Over {
    fn serve(options: Options) -> Over {
        Over::run(options, LiveSettings::FULL, 0..12, None)
    }

    /// A run of these seconds, which goes on where the one before in this state ended.
    fn run(
        options: Options,
        live: LiveSettings,
        seconds: Range<u64>,
        state: Option<PathBuf>,
    ) -> Over {
        let at = |second: u64| Timestamp::from_nanos((second * SECOND) as i64);
        let start = seconds.start;
        let events = seconds.map(|second| {
            let count = usize::try_from(second).unwrap() + 1;
            let mut text = String::new();
            for (n, key) in KEYS.iter().enumerate() {
                let line = format!("{{\"status\":{key}}}\n");
                text.push_str(&line.repeat(count * (n + 1)));
            }
            text.push_str("no JSON\n{\"state\":1}\n");
            (
                at(1_000_000 + second),
                ScriptEvent::Bytes(text.into_bytes()),
            )
        });
        let window = |length: u64, slide: u64| WindowSpec {
            length_nanos: length * SECOND,
            slide_nanos: slide * SECOND,
        };
        let settings = Settings {
            every_nanos: SECOND,
            parsers: 2,
            shards: 2,
            pin: false,
            live,
            state_lag: state.as_ref().map_or(0, |_| 4),
            keep_nanos: 86_400 * SECOND,
            windows: WindowSettings {
                specs: vec![window(4, 4), window(6, 2)],
                trending: Some(3),
                bytes_max: 1 << 20,
            },
            ..Settings::new(KeyPath::parse("status").unwrap())
        };
        let (json, csv) = (Kept::default(), Kept::default());
        let trending = SinkOptions {
            trending: true,
            ..SinkOptions::default()
        };
        let sinks: Vec<Box<dyn tallyline::sink::Sink>> = vec![
            OutputFormat::Json.sink(json.clone(), SinkOptions::default()),
            OutputFormat::Csv.sink(csv.clone(), trending),
        ];
        let sources: Vec<Box<dyn Source>> = vec![Box::new(Script::new(events))];
        let clock = Arc::new(VirtualClock::new(at(1_000_000 + start)));
        let mut pipeline = Pipeline::new(settings, sources, sinks, clock).unwrap();
        if let Some(state) = &state {
            pipeline = pipeline.with_state(State::open(state, &Meaning::default()).unwrap());
        }
        let bound = Bound::new(options).unwrap().with_history(state);
        let (server, bell) = bound.serve(pipeline.live()).unwrap();
        pipeline.on_batch(bell);
        let (_, result) = pipeline.run().unwrap();
        result.unwrap();
        let json = json.text();
        let json = json.lines().map(|line| serde_json::from_str(line).unwrap());
        Over {
            server,
            json: json.collect(),
            csv: csv.text(),
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What the JSON sink printed of this type.
    fn printed(&self, kind: &str) -> Vec<&serde_json::Value> {
        let printed = self.json.iter();
        printed.filter(|object| object["type"] == kind).collect()
    }
}

/// As they stand in JSON.
const KEYS: [&str; 6] = [
    "\"PLACED\"",
    "\"<img src=x onerror=alert(1)>\"",
    "1.0",
    "null",
    "\"a,\\\"b\\\"\\n\"",
    "\"\"",
];

/// A writer that several hold.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
