//! Reads a whole file of the configuration, and nothing that only looks like one.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::Path;

use super::failure::io_words;

/// What is in a file of at most `max_bytes`; `None` where there is none. A device says nothing: nobody means more
/// by `/dev/null`. Blocks, but never waits for a writer.
///
/// # Errors
/// Why it cannot be read, as a fragment.
pub(super) fn read(path: &Path, max_bytes: u64) -> Result<Option<(Metadata, Vec<u8>)>, String> {
    let opened = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => return Err("it is a directory".to_owned()),
        Ok(metadata) if is_device(&metadata) => return Ok(None),
        // Opening a pipe would wait for its other end.
        Ok(metadata) if !metadata.is_file() => return Err("it is no file".to_owned()),
        Ok(metadata) => File::open(path).map(|file| (metadata, file)),
        Err(error) => Err(error),
    };
    let (metadata, file) = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_words(&error)),
    };
    let mut bytes = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut bytes).map_err(|error| io_words(&error))?;
    if max_bytes < bytes.len() as u64 {
        return Err(format!("it has more than {} MiB, which no such file has", max_bytes >> 20));
    }
    Ok(Some((metadata, bytes)))
}

#[cfg(unix)]
fn is_device(metadata: &Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_char_device(&metadata.file_type())
}

#[cfg(not(unix))]
fn is_device(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_limit_and_a_missing_one_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(matches!(read(&path, 4), Ok(None)));

        std::fs::write(&path, "four").unwrap();
        assert_eq!(read(&path, 4).unwrap().unwrap().1, b"four");
        std::fs::write(&path, "fives").unwrap();
        assert!(read(&path, 4).unwrap_err().starts_with("it has more than"));
        assert_eq!(read(folder.path(), 4).unwrap_err(), "it is a directory");
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();

        assert_eq!(read(&pipe, 4).unwrap_err(), "it is no file");
        assert!(matches!(read(Path::new("/dev/zero"), 4), Ok(None)));
        assert!(matches!(read(Path::new("/dev/null"), 4), Ok(None)));
    }
}
