//! `file:PATH`: JSON lines, or CSV if the name ends so; behind `.gz` or `.zst` compressed, an archive for each batch.
//!
//! The file is appended to. With `rotate=SIZE` it is put aside when it is that long, with a number in its name; with
//! a time in the name (`counts-%Y%m%d-%H.jsonl`, local time) batches go to the file of their beginning. A file that
//! is put aside is synced, and has its name only then: until it is, a file with a time in its name is called
//! `….part`. A name that is taken is left alone, and the new file gets a number.
//!
//! The state keeps which file it was and how long ([`Mark`]), before the first byte gets there and behind each batch.
//! A run that goes on from it cuts the file back to that, whatever an earlier one has written since, and is handed
//! the same batch again: nothing is missing and nothing stands there twice. So that this holds for the death of the
//! machine as well, what the state is to say is on the disk before. Without a state what is half written is cut off,
//! so that nothing is glued to it.

use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use jiff::fmt::strtime;
use rustix::fs::{Access, access};

use super::outlet::{Context, Cut, Outlet, Receipt, Refusal};
use super::parcel::{Choice, Parcel};
use super::print::{Format, Packing, packed, print};
use super::spec::{FileOptions, SinkSpec};
use super::whole::whole_bytes;
use crate::clock::Timestamp;
use crate::error::reason;
use crate::sink::SinkOptions;

/// A sink in the file system.
#[derive(Debug)]
pub(super) struct FileOutlet {
    /// The name, or the pattern of names.
    pattern: String,
    choice: Choice,
    format: Format,
    packing: Packing,
    rotate_bytes: u64,
    has_state: bool,
    options: SinkOptions,
    /// Where it stands, as it was last told: by an earlier run at first.
    told: Option<Mark>,
    current: Option<Current>,
}

/// The file that is being written.
#[derive(Debug)]
struct Current {
    file: File,
    /// What it is called now.
    path: PathBuf,
    /// What it is to be called.
    name: PathBuf,
    /// Its length, all of it whole.
    bytes: u64,
    /// A device or a pipe is neither measured nor moved.
    is_regular: bool,
}

/// Which file it was, what it is to be called, and how long it was.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    bytes: u64,
    name: PathBuf,
}

impl FileOutlet {
    pub(super) fn new(
        pattern: &str,
        options: &FileOptions,
        spec: &SinkSpec,
        context: &Context,
        mark: Option<&str>,
    ) -> FileOutlet {
        let (_, format, packing) = suffixes(pattern);
        FileOutlet {
            pattern: pattern.to_owned(),
            choice: spec.choice,
            format,
            packing,
            rotate_bytes: options.rotate_bytes.unwrap_or(u64::MAX),
            has_state: context.has_state,
            options: context.rows.clone(),
            told: mark.and_then(|mark| mark.parse().ok()),
            current: None,
        }
    }

    fn has_time(&self) -> bool {
        self.pattern.contains('%')
    }

    /// The name of the file that a batch belongs to.
    fn name_at(&self, time: Timestamp) -> Result<PathBuf, Refusal> {
        if !self.has_time() {
            return Ok(PathBuf::from(&self.pattern));
        }
        let time = jiff::Timestamp::from_nanosecond(time.as_nanos().into());
        let time = time.map_err(|error| Refusal::Wrong(error.to_string()))?;
        let time = time.to_zoned(self.options.zone.clone());
        strtime::format(&self.pattern, &time)
            .map(PathBuf::from)
            .map_err(|error| Refusal::Wrong(format!("its name makes no time: {error}")))
    }

    /// What a file is called while it is written.
    fn working(&self, name: &Path) -> PathBuf {
        match self.has_time() {
            true => with_suffix(name, ".part"),
            false => name.to_owned(),
        }
    }

    /// The file for a batch whose file is to be called `name`, and that is long enough to be put aside no more.
    fn ready(&mut self, name: &Path) -> io::Result<Current> {
        let resumed = match self.current.take() {
            Some(current) => Some(current),
            None => self.resume()?,
        };
        let current = match resumed {
            Some(current) => current,
            None => self.append_to(name)?,
        };
        if current.name == name && current.bytes < self.rotate_bytes {
            return Ok(current);
        }
        put_aside(current)?;
        self.append_to(name)
    }

    /// The file that was last told of, if it is still there, as it was then.
    fn resume(&self) -> io::Result<Option<Current>> {
        let Some(told) = &self.told else {
            return Ok(None);
        };
        let path = self.working(&told.name);
        if identity(&path) != Some((told.device, told.inode)) {
            return Ok(None);
        }
        let mut current = open(path, told.name.clone())?;
        match current.bytes >= told.bytes {
            true => current.cut(told.bytes)?,
            false => tracing::warn!(
                "{}: shorter than it was when the state was saved: going on at its end",
                current.path.display()
            ),
        }
        Ok(Some(current))
    }

    /// A file to append to, without what is half written in it.
    fn append_to(&self, name: &Path) -> io::Result<Current> {
        let mut current = open(self.working(name), name.to_owned())?;
        if current.is_regular && current.bytes > 0 {
            let mut file = File::open(&current.path)?;
            let whole = whole_bytes(&mut file, self.format, self.packing)?;
            if whole < current.bytes {
                tracing::warn!(
                    "{}: {} bytes at its end are half written: cut off",
                    current.path.display(),
                    current.bytes - whole
                );
                current.cut(whole)?;
            }
        }
        Ok(current)
    }

    /// Where it stands, in words for the state.
    fn tell(&mut self, mark: Option<Mark>) -> Option<String> {
        self.told = mark;
        self.told.as_ref().map(Mark::to_string)
    }

    fn write(&self, current: &mut Current, parcel: &Parcel) -> io::Result<u64> {
        let is_begun = current.bytes > 0;
        let mut file = &current.file;
        let rows = packed(self.packing, &mut file, |out| {
            print(
                parcel,
                &self.choice,
                self.format,
                (&self.options, is_begun),
                out,
            )
        })?;
        current.bytes = match current.is_regular {
            true => current.file.metadata()?.len(),
            // It has begun, which is all that is asked of it.
            false => 1,
        };
        Ok(rows)
    }
}

impl Outlet for FileOutlet {
    fn check(&mut self) -> Result<String, Refusal> {
        if let Some(suffix) = strange_suffix(&self.pattern) {
            return Err(Refusal::Wrong(format!(
                "{suffix} is no suffix that is known here; let its name end in .jsonl, .ndjson, .json or .csv, and .gz or .zst behind it to compress"
            )));
        }
        let name = self.name_at(Timestamp::default())?;
        let path = self.working(&name);
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let wrong = |what: &Path, error: io::Error| {
            Refusal::Wrong(format!(
                "cannot write {}: {}; name a file in a folder that is there and may be written to",
                what.display(),
                reason(&error)
            ))
        };
        match fs::metadata(&path) {
            Ok(found) if found.is_dir() => {
                return Err(Refusal::Wrong("that is a folder; name a file".to_owned()));
            }
            Ok(_) => access(&path, Access::WRITE_OK).map_err(|error| wrong(&path, error.into()))?,
            Err(_) => {
                fs::read_dir(folder).map_err(|error| wrong(folder, error))?;
                access(folder, Access::WRITE_OK).map_err(|error| wrong(folder, error.into()))?;
            }
        }
        let what = match self.format {
            Format::Json => "JSON lines",
            Format::Csv => "CSV rows",
        };
        Ok(format!("{what} can be appended to it"))
    }

    fn begin(&mut self, parcel: &Parcel) -> Result<Option<String>, Refusal> {
        let name = self.name_at(parcel.start())?;
        let current = self.ready(&name)?;
        let mark = current.mark()?;
        let is_news = mark != self.told;
        if is_news && self.has_state {
            sync_folder(&current.path)?;
        }
        self.current = Some(current);
        match is_news {
            true => Ok(self.tell(mark)),
            false => Ok(None),
        }
    }

    fn deliver(&mut self, parcel: &Parcel, _: &Cut) -> Result<Receipt, Refusal> {
        let current = self.current.take();
        let mut current = current.expect("it was made ready for the parcel");
        let before = current.bytes;
        let written = self.write(&mut current, parcel).and_then(|rows| {
            if self.has_state && current.is_regular {
                current.file.sync_data()?;
            }
            Ok(rows)
        });
        match written {
            Ok(rows) => {
                let mark = current.mark()?;
                self.current = Some(current);
                Ok(Receipt {
                    rows,
                    mark: self.tell(mark),
                })
            }
            Err(error) => {
                // If this fails too, what is half written is cut off when the file is opened again.
                if current.is_regular && current.cut(before).is_ok() {
                    self.current = Some(current);
                }
                Err(error.into())
            }
        }
    }

    fn finish(&mut self) -> Result<(), Refusal> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        match self.has_time() {
            true => put_aside(current)?,
            false if current.is_regular => current.file.sync_all()?,
            false => {}
        }
        Ok(())
    }
}

impl Current {
    fn cut(&mut self, bytes: u64) -> io::Result<()> {
        self.file.set_len(bytes)?;
        self.bytes = bytes;
        Ok(())
    }

    fn mark(&self) -> io::Result<Option<Mark>> {
        if !self.is_regular {
            return Ok(None);
        }
        let metadata = self.file.metadata()?;
        Ok(Some(Mark {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: self.bytes,
            name: self.name.clone(),
        }))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark {
            device,
            inode,
            bytes,
            name,
        } = self;
        write!(f, "{device} {inode} {bytes} {}", name.display())
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Mark, ()> {
        let mut words = text.splitn(4, ' ');
        let mut number = || words.next()?.parse().ok();
        let numbers = (number(), number(), number());
        match (numbers, words.next()) {
            ((Some(device), Some(inode), Some(bytes)), Some(name)) => Ok(Mark {
                device,
                inode,
                bytes,
                name: name.into(),
            }),
            _ => Err(()),
        }
    }
}

fn open(path: PathBuf, name: PathBuf) -> io::Result<Current> {
    let file = File::options().append(true).create(true).open(&path)?;
    let metadata = file.metadata()?;
    Ok(Current {
        file,
        path,
        name,
        bytes: metadata.len(),
        is_regular: metadata.is_file(),
    })
}

/// Gives a file its last name, when it is on the disk.
fn put_aside(current: Current) -> io::Result<()> {
    if !current.is_regular {
        return Ok(());
    }
    current.file.sync_all()?;
    let mut name = current.name.clone();
    let mut number = 0;
    while name == current.path || name.exists() {
        number += 1;
        name = numbered(&current.name, number);
    }
    fs::rename(&current.path, &name)?;
    sync_folder(&name)
}

/// Has the name of a file on the disk.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// `counts.jsonl.gz` as `counts.7.jsonl.gz`.
fn numbered(path: &Path, number: u64) -> PathBuf {
    let name = path.display().to_string();
    let (stem, _, _) = suffixes(&name);
    format!("{}.{number}{}", &name[..stem], &name[stem..]).into()
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A suffix that says something else than what is known here, as `.txt` or `.parquet` do. A name without any is
/// one for JSON lines, as are those of devices and pipes.
fn strange_suffix(name: &str) -> Option<&str> {
    let (end, _, _) = suffixes(name);
    let packed = [".gz", ".zst"]
        .iter()
        .find_map(|packing| name.strip_suffix(packing));
    let stem = packed.unwrap_or(name);
    if end < stem.len() {
        return None;
    }
    let file = &stem[stem.rfind('/').map_or(0, |slash| slash + 1)..];
    let dot = file.rfind('.').filter(|&dot| dot > 0)?;
    let suffix = &file[dot..];
    let is_word = suffix[1..].starts_with(|c: char| c.is_ascii_alphabetic());
    is_word.then_some(suffix)
}

/// Where a name's suffixes begin, and what they say.
fn suffixes(name: &str) -> (usize, Format, Packing) {
    let packings = [(".gz", Packing::Gzip), (".zst", Packing::Zstd)];
    let packing = packings.iter().find(|(suffix, _)| name.ends_with(suffix));
    let (end, packing) = match packing {
        Some((suffix, packing)) => (name.len() - suffix.len(), *packing),
        None => (name.len(), Packing::None),
    };
    let formats = [
        (".csv", Format::Csv),
        (".jsonl", Format::Json),
        (".ndjson", Format::Json),
        (".json", Format::Json),
    ];
    let stem = &name[..end];
    let format = formats.iter().find(|(suffix, _)| stem.ends_with(suffix));
    match format {
        Some((suffix, format)) => (end - suffix.len(), *format, packing),
        None => (end, Format::Json, packing),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_that_says_something_else_is_found() {
        for name in [
            "a.jsonl",
            "a.b.csv.gz",
            "a.txt/b.json.zst",
            "a",
            "/dev/stdout",
            "a.txt/b",
            ".hidden",
            "counts-2026.11",
            "counts-%Y.%m.ndjson",
            "a.gz",
        ] {
            assert_eq!(strange_suffix(name), None, "{name}");
        }
        for (name, suffix) in [
            ("a.txt", ".txt"),
            ("a.parquet", ".parquet"),
            ("a.txt.gz", ".txt"),
            ("a/b.jsonl.bak", ".bak"),
            ("a.csv.bz2", ".bz2"),
        ] {
            assert_eq!(strange_suffix(name), Some(suffix), "{name}");
        }
    }
}
