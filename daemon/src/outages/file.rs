//! The journal on disk: lines are added at the end of one file; when that is full or old, it takes the place of the
//! one before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};

use super::record::Record;

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// A file that has grown to this many bytes is closed. Two of them are kept.
    pub(super) file_bytes: u64,
    /// So is one whose first line is so old.
    pub(super) file_age: SignedDuration,
}

impl Default for Limits {
    /// 8 MiB are some 30,000 changes; 90 days are a quarter.
    fn default() -> Self {
        Limits { file_bytes: 4 << 20, file_age: SignedDuration::from_hours(45 * 24) }
    }
}

/// The two files of the journal.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    older: PathBuf,
    limits: Limits,
    file: Option<File>,
    bytes: u64,
    /// The first line's moment.
    began: Option<Timestamp>,
    /// The last line may be half of one: the next begins a new one.
    is_torn: bool,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// In the order in which they were written.
    pub(super) records: Vec<Record>,
    /// Lines that are none of this version.
    pub(super) n_skipped: u64,
}

impl JournalFile {
    /// The journal in this folder. Nothing is opened yet.
    pub(super) fn new(folder: &Path, limits: Limits) -> Self {
        JournalFile {
            path: folder.join("outages.jsonl"),
            older: folder.join("outages.1.jsonl"),
            limits,
            file: None,
            bytes: 0,
            began: None,
            is_torn: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads everything, the older file first. A file that cannot be read is an empty one.
    pub(super) fn read(&self) -> Contents {
        let mut contents = Contents::default();
        for path in [&self.older, &self.path] {
            match read_tail(path, 4 * self.limits.file_bytes) {
                Ok(bytes) => contents.add(&bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => tracing::debug!(path = %path.display(), %error, "journal of outages not read"),
            }
        }
        contents
    }

    /// Adds lines. They survive the end of the process from then on, and the machine's after [`JournalFile::sync`].
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let Some(first) = records.first() else { return Ok(()) };
        let mut bytes = Vec::new();
        let is_torn = self.opened()?.1;
        if is_torn {
            bytes.push(b'\n');
        }
        records.iter().for_each(|record| bytes.extend(record.line()));
        let began = self.began.unwrap_or(first.at());
        let (file, _) = self.opened()?;
        match file.write_all(&bytes) {
            Ok(()) => {
                self.is_torn = false;
                self.bytes += bytes.len() as u64;
                self.began = Some(began);
                Ok(())
            }
            Err(error) => {
                // Part of it may be there. The file is looked at afresh before the next line.
                self.file = None;
                Err(error)
            }
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    /// Whether the file is as long or as old as it may become.
    pub(super) fn is_full(&self, now: Timestamp) -> bool {
        let is_old = self.began.is_some_and(|began| self.limits.file_age <= now.duration_since(began));
        self.limits.file_bytes <= self.bytes || is_old
    }

    /// Begins a new file; the one that was full becomes the older one.
    pub(super) fn begin_anew(&mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.sync_data()?;
        }
        std::fs::rename(&self.path, &self.older)?;
        (self.bytes, self.began, self.is_torn) = (0, None, false);
        Ok(())
    }

    fn opened(&mut self) -> io::Result<(&mut File, bool)> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let mut file = open(&self.path)?;
                self.bytes = file.metadata()?.len();
                self.is_torn = ends_in_a_line(&mut file, self.bytes)?;
                self.began = first_moment(&mut file)?;
                file
            }
        };
        Ok((self.file.insert(file), self.is_torn))
    }
}

impl Contents {
    fn add(&mut self, bytes: &[u8]) {
        for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match Record::parse(line) {
                Some(record) => self.records.push(record),
                None => self.n_skipped += 1,
            }
        }
    }
}

/// For reading and adding, open to the user alone.
fn open(path: &Path) -> io::Result<File> {
    // Opening a pipe would wait for whoever reads it.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(io::Error::other("it is not a file"));
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    Ok(file)
}

/// Whether something stands behind the last newline.
fn ends_in_a_line(file: &mut File, bytes: u64) -> io::Result<bool> {
    if bytes == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// The moment of the first line that can be read, among the first ones.
fn first_moment(file: &mut File) -> io::Result<Option<Timestamp>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(2 * super::record::MAX_LINE_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes.split(|byte| *byte == b'\n').find_map(Record::parse).map(|record| record.at()))
}

/// The end of a file, at most so many bytes: what another program made of it must not fill the memory.
fn read_tail(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(limit)))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
