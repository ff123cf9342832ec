//! The file itself: appended to, put aside when it is full.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use memchr::{memchr, memrchr};

use super::RejectOptions;

/// A file of lines with a bounded length, and one older one beside it.
#[derive(Debug)]
pub struct RejectFile {
    options: RejectOptions,
    file: File,
    /// Its length; `bytes <= options.bytes_max`, unless it holds a single line that is longer or was
    /// longer when it was opened.
    bytes: u64,
    /// A device or a pipe is neither measured nor moved.
    is_regular: bool,
}

impl RejectFile {
    /// Opens a file to append to, and makes it if there is none.
    ///
    /// # Errors
    /// What the system answers.
    pub fn open(options: RejectOptions) -> io::Result<RejectFile> {
        let file = File::options()
            .append(true)
            .create(true)
            .open(&options.path)?;
        let metadata = file.metadata()?;
        Ok(RejectFile {
            options,
            file,
            bytes: metadata.len(),
            is_regular: metadata.is_file(),
        })
    }

    /// Its name.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Writes lines, each ended by a newline, and takes off `lines` what has been written.
    ///
    /// # Errors
    /// What the system answers; no piece of a line is left in the file then, if that can be helped.
    pub fn write(&mut self, lines: &mut &[u8]) -> io::Result<()> {
        while !lines.is_empty() {
            let cut = match self.whole_lines(lines) {
                0 if self.bytes > 0 => {
                    self.rotate()?;
                    continue;
                }
                // A line longer than a file has one to itself.
                0 => memchr(b'\n', lines).map_or(lines.len(), |newline| newline + 1),
                cut => cut,
            };
            if let Err(error) = self.file.write_all(&lines[..cut]) {
                if self.is_regular {
                    // If this fails too, the error at hand is the one to tell.
                    drop(self.file.set_len(self.bytes));
                }
                return Err(error);
            }
            self.bytes += cut as u64;
            *lines = &lines[cut..];
        }
        Ok(())
    }

    /// The length of the lines that there is room for.
    fn whole_lines(&self, lines: &[u8]) -> usize {
        let room = self.options.bytes_max.saturating_sub(self.bytes);
        match usize::try_from(room) {
            Ok(room) if self.is_regular && room < lines.len() => {
                memrchr(b'\n', &lines[..room]).map_or(0, |newline| newline + 1)
            }
            _ => lines.len(),
        }
    }

    /// Puts the file aside in the place of the one before, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        fs::rename(&self.options.path, self.options.older())?;
        self.file = File::options()
            .append(true)
            .create(true)
            .open(&self.options.path)?;
        self.bytes = 0;
        Ok(())
    }
}
