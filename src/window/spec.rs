//! How long a window is, and how often one closes: `LEN[/SLIDE]`.

use std::fmt;
use std::time::Duration;

use crate::clock::Timestamp;

/// A window's length and slide, in nanoseconds; `0 < slide <= length`, both whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WindowSpec {
    /// From a window's start to its end.
    pub length_nanos: u64,
    /// From one window's end to the next one's.
    pub slide_nanos: u64,
}

impl WindowSpec {
    /// A window of `length`; one closes every `slide`. What is wrong with them otherwise.
    ///
    /// # Errors
    /// If a time is no whole number of milliseconds from 1 up, or the slide is the longer one.
    pub fn new(length: Duration, slide: Duration) -> Result<WindowSpec, &'static str> {
        let nanos = |time: Duration| {
            let nanos = u64::try_from(time.as_nanos()).ok()?;
            (nanos > 0 && nanos.is_multiple_of(1_000_000)).then_some(nanos)
        };
        let (Some(length_nanos), Some(slide_nanos)) = (nanos(length), nanos(slide)) else {
            return Err("give a length and a slide of whole milliseconds, such as 1m/5s");
        };
        if slide_nanos > length_nanos {
            return Err(
                "the slide is longer than the window, so some records would be in none; swap them",
            );
        }
        Ok(WindowSpec {
            length_nanos,
            slide_nanos,
        })
    }

    /// Whether both are multiples of the batch interval.
    pub fn fits(&self, every_nanos: u64) -> bool {
        self.length_nanos.is_multiple_of(every_nanos)
            && self.slide_nanos.is_multiple_of(every_nanos)
    }

    /// When the window that ends at `end` begins.
    pub fn start(&self, end: Timestamp) -> Timestamp {
        end.minus_nanos(self.length_nanos)
    }

    /// Whether windows overlap.
    pub fn is_sliding(&self) -> bool {
        self.slide_nanos < self.length_nanos
    }
}

/// As it is written on the command line: `1m`, `1h30m/500ms`.
impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&time(self.length_nanos))?;
        if self.is_sliding() {
            write!(f, "/{}", time(self.slide_nanos))?;
        }
        Ok(())
    }
}

/// A time in the largest units that it has, down to the millisecond: `1h30m`.
pub(crate) fn time(nanos: u64) -> String {
    let mut rest = nanos / 1_000_000;
    let mut text = String::new();
    for (unit, millis) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if rest >= millis {
            text.push_str(&format!("{}{unit}", rest / millis));
            rest %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs_print_as_they_are_written() {
        let spec = |length, slide| {
            WindowSpec::new(Duration::from_millis(length), Duration::from_millis(slide))
        };
        let shown = |length, slide| spec(length, slide).map(|spec| spec.to_string());
        assert_eq!(shown(60_000, 5_000).as_deref(), Ok("1m/5s"));
        assert_eq!(shown(5_400_000, 5_400_000).as_deref(), Ok("1h30m"));
        assert_eq!(shown(1_500, 20).as_deref(), Ok("1s500ms/20ms"));
        assert!(shown(5_000, 60_000).is_err_and(|error| error.contains("swap them")));
        assert!(spec(0, 0).is_err());
        assert!(WindowSpec::new(Duration::from_micros(1500), Duration::from_micros(1500)).is_err());
    }
}
