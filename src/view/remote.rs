//! A run elsewhere, over HTTP: the subject of `tallyline top`.
//!
//! Two threads ask its server: one reads `/events`, which tell of each batch as it closes ([`Story`]); the other asks
//! for `/api/v1/status` once a second, for batches may be hours apart, while sources come and go. Who draws puts the last
//! of both together.
//!
//! - The first questions are asked before there is a view: a wrong address or a missing token ends the program with a line.
//! - A connection that breaks off is made again, once a second, for as long as the view lasts, and the view says so. The
//!   server then sends what was missed, or, if another run answers, all that it keeps.
//! - Nobody is trusted: what is told may be anything, of any length, and is bounded here.

mod events;
mod status;
mod story;

use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use ureq::http::Response;
use ureq::{Agent, Body};

use self::events::{Event, Events, Heard};
use self::status::standing;
use self::story::Story;
use super::picture::{Picture, Subject};
use crate::clock::{Clock, SystemClock, Timestamp};
use crate::error::Error;
use crate::{http, web};

/// Between two attempts to connect, and two questions for the status.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// For how long events are read from one connection: whoever is gone without a word is found out by making another.
const RENEWAL: Duration = Duration::from_secs(60);

/// Without anything heard for so long, that is told. A server speaks every 15 seconds at least.
const SILENCE_NANOS: u64 = 20_000_000_000;

/// The longest status.
const STATUS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The id of no event of any run: a server that is told of it sends all that it keeps.
const NO_EVENT: &str = "0-0";

/// What the events have told.
#[derive(Default)]
struct Told {
    story: Story,
    /// What is wrong with the connection.
    note: Option<String>,
    /// When anything was heard last.
    at: Timestamp,
    /// Whether the end of the run was told.
    is_over: bool,
    /// Another one each time.
    version: u64,
}

/// A status, and when it was told.
struct Standing {
    picture: Picture,
    at: Timestamp,
}

/// What the threads and the viewer share.
struct Shared {
    told: ArcSwap<Told>,
    standing: ArcSwap<Standing>,
    /// Whether there is a connection, so that asking makes sense.
    is_connected: AtomicBool,
}

/// See the module's documentation.
pub struct Remote {
    shared: Arc<Shared>,
}

impl Remote {
    /// Connects to the server at `url`, `http://` or `https://`, with the token in a file if there is one. `ca` is the
    /// file of the authority that certifies the server, rather than those that the system trusts.
    ///
    /// # Errors
    /// If the address or a file makes no sense (usage), or the server does not answer as one of ours does.
    pub fn connect(
        url: &str,
        token_file: Option<&Path>,
        ca: Option<&Path>,
    ) -> Result<Remote, Error> {
        let server = Server::new(url, token_file, ca)?;
        let (events, standing) = server.connect(NO_EVENT).map_err(|why| {
            let url = &server.url;
            Error::Source(format!("cannot look at {url}: {why}"))
        })?;
        let told = Told {
            at: SystemClock.now(),
            ..Told::default()
        };
        let shared = Arc::new(Shared {
            told: ArcSwap::from_pointee(told),
            standing: ArcSwap::from_pointee(standing),
            is_connected: AtomicBool::new(true),
        });
        let server = Arc::new(server);
        let (asked, answers) = (Arc::clone(&server), Arc::clone(&shared));
        begin("status", move || ask(&asked, &answers))?;
        let heard = Arc::clone(&shared);
        begin("events", move || listen(&server, events, &heard))?;
        Ok(Remote { shared })
    }
}

/// A thread that lasts as long as the program.
fn begin(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let thread = thread::Builder::new().name(name.to_owned());
    let begun = thread.spawn(body).map(drop);
    begun.map_err(|error| Error::System("start a thread", error))
}

impl Subject for Remote {
    fn version(&self) -> u64 {
        self.shared.told.load().version
    }

    fn picture(&self) -> Picture {
        let (told, standing) = (self.shared.told.load(), self.shared.standing.load());
        let now = SystemClock.now();
        let mut picture = told.story.picture(&standing.picture);
        picture.is_over |= told.is_over;
        if !picture.is_over {
            // By the run's own clock, which may differ from ours.
            picture.now = picture.now.plus_nanos(now.nanos_since(standing.at));
        }
        let silence = now.nanos_since(told.at);
        picture.notes = match &told.note {
            Some(note) => vec![note.clone()],
            None if silence >= SILENCE_NANOS => {
                vec![format!("nothing heard for {} s", silence / 1_000_000_000)]
            }
            None => Vec::new(),
        };
        picture
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }
}

/// Whom to ask.
struct Server {
    agent: Agent,
    /// Without a slash at its end.
    url: String,
    token: Option<String>,
}

type Connection = Events<BufReader<Box<dyn Read + Send>>>;

impl Server {
    fn new(url: &str, token_file: Option<&Path>, ca: Option<&Path>) -> Result<Server, Error> {
        let wrong = |remedy: String| Error::Usage(format!("url '{url}': {remedy}"));
        let schemes = ["http://", "https://"];
        let host = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
        let is_host = |host: &str| !host.is_empty() && !host.starts_with(['/', ':']);
        if !host.is_some_and(is_host) {
            return Err(wrong(
                "write http://HOST:PORT, as count --http prints it".to_owned(),
            ));
        }
        if url.contains(['?', '#', '@']) {
            // It may be secret, so it is not repeated.
            return Err(Error::Usage(
                "url: name no more than scheme, host, port and path; a token stands in a file, which --token-file names"
                    .to_owned(),
            ));
        }
        let agent = web::agent(url, ca, |config| {
            config
                .timeout_connect(Some(PATIENCE))
                .timeout_recv_response(Some(PATIENCE))
                .timeout_recv_body(Some(RENEWAL))
                // What is on its way through a proxy need not come as it is sent.
                .proxy(None)
        });
        Ok(Server {
            agent: agent.map_err(wrong)?,
            url: url.trim_end_matches('/').to_owned(),
            token: token_file
                .map(|path| http::token("token-file", path))
                .transpose()?,
        })
    }

    /// Asks how the run stands, then for the events behind the one with this id.
    fn connect(&self, id: &str) -> Result<(Connection, Standing), String> {
        let standing = self.standing()?;
        let response = self.ask("/events", "text/event-stream", Some(id))?;
        let body: Box<dyn Read + Send> = Box::new(response.into_body().into_reader());
        Ok((Events::new(BufReader::new(body)), standing))
    }

    fn standing(&self) -> Result<Standing, String> {
        let mut response = self.ask("/api/v1/status", "application/json", None)?;
        let body = response.body_mut().with_config().limit(STATUS_BYTES_MAX);
        let text = body
            .read_to_string()
            .map_err(|error| web::explain(error, "--tls-ca"))?;
        let picture = standing(&text).ok_or_else(|| stranger("its status is none"))?;
        let at = SystemClock.now();
        Ok(Standing { picture, at })
    }

    /// An answer of this type; with an id, one that goes on. Otherwise tells why there is none, and what to do.
    fn ask(&self, path: &str, kind: &str, id: Option<&str>) -> Result<Response<Body>, String> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        request = request.header("Accept", kind);
        request = match id {
            Some(id) => request.header("Last-Event-ID", id),
            None => request.config().timeout_global(Some(PATIENCE)).build(),
        };
        if let Some(token) = &self.token {
            request = request.header("Authorization", format!("Bearer {token}"));
        }
        let response = request.call().map_err(|error| {
            let why = web::explain(error, "--tls-ca");
            match why.contains("; ") {
                // It names a remedy of its own.
                true => why,
                false => {
                    format!("{why}; check the address, and that the run there is given --http")
                }
            }
        })?;
        let field = |name: &str| {
            let field = response.headers().get(name);
            field.and_then(|field| field.to_str().ok()).unwrap_or("")
        };
        let why = match (response.status().as_u16(), &self.token) {
            (200, _) if field("content-type").starts_with(kind) => return Ok(response),
            (401, None) => {
                "it asks for a token; name the file that it is in with --token-file".to_owned()
            }
            (401, Some(_)) => {
                "it asks for another token; check the file that --token-file names".to_owned()
            }
            (403 | 421, _) => {
                "it does not answer to this name; use 127.0.0.1 or localhost, or give it --http-token-file"
                    .to_owned()
            }
            (503, _) => {
                "it has as many viewers as it takes; close one, or give it more --http-connections"
                    .to_owned()
            }
            (300..=399, _) => {
                let location = crate::sink::text::sample(field("location").as_bytes(), 120);
                format!("it is elsewhere; try {location}")
            }
            (200, _) => stranger("what it sends is something else"),
            (status, _) => stranger(&format!("it answers {status}")),
        };
        Err(why)
    }
}

/// What there is to be said of a server that is none of ours.
fn stranger(why: &str) -> String {
    format!("{why}: it seems to be no tallyline; check the address and the port")
}

/// Asks how the run stands, again and again.
fn ask(server: &Server, shared: &Shared) {
    loop {
        thread::sleep(PAUSE);
        // Relaxed: it only saves questions that nobody would answer.
        if shared.is_connected.load(Ordering::Relaxed)
            && let Ok(standing) = server.standing()
        {
            shared.standing.store(Arc::new(standing));
        }
    }
}

/// Reads events, and connects again and again, until the program ends.
fn listen(server: &Server, events: Connection, shared: &Shared) {
    let mut ear = Ear {
        shared,
        story: Story::default(),
        last: NO_EVENT.to_owned(),
        is_over: false,
    };
    let mut events = Some(events);
    loop {
        let why = match events.take() {
            Some(connection) => match ear.hear(connection) {
                Some(why) => why,
                // It is made anew.
                None => continue,
            },
            None => match server.connect(&ear.last) {
                Ok((connection, standing)) => {
                    ear.begin(standing);
                    events = Some(connection);
                    continue;
                }
                Err(why) => why,
            },
        };
        ear.lose(&why);
        thread::sleep(PAUSE);
    }
}

/// The thread that hears events.
struct Ear<'a> {
    shared: &'a Shared,
    story: Story,
    /// The id of the last event.
    last: String,
    is_over: bool,
}

impl Ear<'_> {
    /// There is a connection, perhaps to another run.
    fn begin(&mut self, standing: Standing) {
        // By this events are numbered.
        let run = standing.picture.started.as_nanos() / 1_000_000;
        self.story.begin(&run.to_string());
        self.is_over = standing.picture.is_over;
        self.shared.standing.store(Arc::new(standing));
        // Relaxed, here and below: see `ask`.
        self.shared.is_connected.store(true, Ordering::Relaxed);
        self.tell(None, SystemClock.now());
    }

    /// Takes events until there are no more; tells why, unless it was for long enough.
    fn hear(&mut self, mut events: Connection) -> Option<String> {
        loop {
            match events.next() {
                Ok(Some(Heard::Event(event))) => self.take(event),
                Ok(Some(Heard::Beat)) => {}
                Ok(None) => return Some("the connection was closed".to_owned()),
                Err(error) => match ureq::Error::from(error) {
                    ureq::Error::Timeout(_) => return None,
                    error => {
                        let why = web::explain(error, "--tls-ca");
                        return Some(format!("the connection broke off: {why}"));
                    }
                },
            }
            self.tell(None, SystemClock.now());
        }
    }

    fn take(&mut self, event: Event) {
        if event.name == "end" {
            self.is_over = true;
            return;
        }
        let run = event.id.rsplit_once('-').map_or("", |(run, _)| run);
        let status = self.story.take(run, &event.data);
        if let Some(picture) = status.and_then(|status| standing(status.get())) {
            let at = SystemClock.now();
            self.shared
                .standing
                .store(Arc::new(Standing { picture, at }));
        }
        self.last = event.id;
    }

    /// There is no connection.
    fn lose(&self, why: &str) {
        self.shared.is_connected.store(false, Ordering::Relaxed);
        let note = match self.is_over {
            true => "the run is over; waiting for another one there".to_owned(),
            false => format!("{why}; trying again"),
        };
        self.tell(Some(note), self.shared.told.load().at);
    }

    fn tell(&self, note: Option<String>, at: Timestamp) {
        let version = self.shared.told.load().version + 1;
        self.shared.told.store(Arc::new(Told {
            story: self.story.clone(),
            note,
            at,
            is_over: self.is_over,
            version,
        }));
    }
}

/// A time as it is printed, or the epoch.
fn moment(text: &str) -> Timestamp {
    let nanos = text
        .parse()
        .map(|time: jiff::Timestamp| time.as_nanosecond());
    let nanos = nanos.ok().and_then(|nanos| i64::try_from(nanos).ok());
    Timestamp::from_nanos(nanos.unwrap_or(0))
}
