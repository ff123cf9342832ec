//! The buffer between a sink and its writer.
//!
//! Sinks format into one reused buffer; it goes out whenever it holds 64 KiB, and with a flush at
//! the end of each report. So a batch of a million keys costs a few hundred writes and no
//! allocation, and a small batch reaches the terminal in one piece.

use std::io::{self, Write};

/// The size at which the buffer is written out, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

/// A writer with a buffer to format into.
#[derive(Debug)]
pub(super) struct Pieces<W> {
    writer: W,
    /// What is not yet written; shorter than [`PIECE_BYTES`] between two rows.
    pub(super) buffer: Vec<u8>,
}

impl<W: Write> Pieces<W> {
    pub(super) fn new(writer: W) -> Pieces<W> {
        Pieces {
            writer,
            buffer: Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4),
        }
    }

    /// Writes the buffer out if it is full; called between rows.
    pub(super) fn spill(&mut self) -> io::Result<()> {
        if self.buffer.len() >= PIECE_BYTES {
            self.write()
        } else {
            Ok(())
        }
    }

    /// Writes everything out and flushes: the end of a report.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.write()?;
        self.writer.flush()
    }

    pub(super) fn push_str(&mut self, text: &str) {
        self.buffer.extend_from_slice(text.as_bytes());
    }

    pub(super) fn push_u64(&mut self, number: u64) {
        push_u64(number, &mut self.buffer);
    }

    fn write(&mut self) -> io::Result<()> {
        let result = self.writer.write_all(&self.buffer);
        // After an error nobody knows how much went out; it is not sent a second time.
        self.buffer.clear();
        result
    }
}

/// Appends `number` in decimal.
pub(super) fn push_u64(mut number: u64, out: &mut Vec<u8>) {
    // The largest u64 has 20 digits.
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed test may panic")]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_the_standard_library_prints_them() {
        for number in [0, 1, 9, 10, 99, 100, 1_234_567_890, u64::MAX] {
            let mut out = Vec::new();
            push_u64(number, &mut out);
            assert_eq!(out, number.to_string().as_bytes());
        }
    }

    /// Takes what it is given, remembers the sizes.
    #[derive(Default)]
    struct Sizes(Vec<usize>);

    impl Write for Sizes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.push(0);
            Ok(())
        }
    }

    #[test]
    fn small_reports_go_out_at_once_and_large_ones_in_pieces() {
        let mut pieces = Pieces::new(Sizes::default());
        for rows in [3, PIECE_BYTES + 5] {
            for _ in 0..rows {
                pieces.push_str("x");
                pieces.spill().unwrap();
            }
            pieces.finish().unwrap();
        }
        assert_eq!(pieces.writer.0, [3, 0, PIECE_BYTES, 5, 0]);
    }
}
