//! A source that plays a script by the clock: for recorded input and for tests on virtual time.
//!
//! Replays exactly: the script is all there is.

use std::collections::VecDeque;
use std::io;

use crate::clock::Timestamp;
use crate::source::{Read, Readiness, Source};

/// What happens in a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScriptEvent {
    /// Bytes arrive.
    Bytes(Vec<u8>),
    /// The stream ends, in good order or torn.
    StreamEnd {
        /// As in [`Read::StreamEnd`].
        torn: bool,
    },
}

impl ScriptEvent {
    fn is_spent(&self) -> bool {
        matches!(self, ScriptEvent::Bytes(bytes) if bytes.is_empty())
    }
}

/// Events, each at its time. Ends after the last with a stream end in good order.
///
/// On virtual time the same script gives the same output each time:
///
/// ```
/// use std::sync::Arc;
/// use tallyline::clock::{Timestamp, VirtualClock};
/// use tallyline::pipeline::{Pipeline, Settings};
/// use tallyline::record::KeyPath;
/// use tallyline::sink::{OutputFormat, SinkOptions};
/// use tallyline::source::{Script, ScriptEvent};
///
/// let lines = b"{\"status\":\"PLACED\"}\n{\"status\":\"PLACED\"}\nnot JSON\n".to_vec();
/// let start = Timestamp::from_millis(1_000);
/// let script = Script::new([(start, ScriptEvent::Bytes(lines))]);
/// let sink = OutputFormat::None.sink(std::io::sink(), SinkOptions::default());
/// let settings = Settings::new(KeyPath::parse("status").unwrap());
/// let clock = Arc::new(VirtualClock::new(start));
/// let pipeline = Pipeline::new(settings, vec![Box::new(script)], vec![sink], clock)?;
/// let (summary, result) = pipeline.run()?;
/// assert!(result.is_ok());
/// assert_eq!((summary.ledger.counted, summary.ledger.malformed), (2, 1));
/// # Ok::<(), tallyline::error::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Script {
    events: VecDeque<(Timestamp, ScriptEvent)>,
    is_over: bool,
}

impl Script {
    /// A script of these events, in the order given; times must not fall.
    pub fn new(events: impl IntoIterator<Item = (Timestamp, ScriptEvent)>) -> Script {
        Script {
            events: events.into_iter().collect(),
            is_over: false,
        }
    }
}

impl Source for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn register(&mut self, _: &Readiness<'_>) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, space: &mut [u8], _: &Readiness<'_>, now: Timestamp) -> Read {
        while self
            .events
            .front()
            .is_some_and(|(_, event)| event.is_spent())
        {
            self.events.pop_front();
        }
        let Some((at, event)) = self.events.front_mut() else {
            return if std::mem::replace(&mut self.is_over, true) {
                Read::Finished
            } else {
                Read::StreamEnd { torn: false }
            };
        };
        if *at > now {
            return Read::Nothing;
        }
        match event {
            ScriptEvent::Bytes(bytes) => {
                let count = bytes.len().min(space.len());
                space[..count].copy_from_slice(&bytes[..count]);
                bytes.drain(..count);
                Read::Bytes(count)
            }
            ScriptEvent::StreamEnd { torn } => {
                let torn = *torn;
                self.events.pop_front();
                Read::StreamEnd { torn }
            }
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        self.events.front().map(|&(at, _)| at)
    }
}
