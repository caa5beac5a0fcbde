//! Reads a text file of the daemon as a whole, and says in plain words why it cannot be.

use std::io::ErrorKind;
use std::path::Path;

use alknet_proto::words;

/// What is in the file; `None` where there is none. Blocks.
///
/// # Errors
/// Why it cannot be read, as a fragment.
pub(crate) fn read(path: &Path) -> Result<Option<String>, String> {
    // Windows calls it a refusal, which sends people to look for permissions.
    if path.is_dir() {
        return Err("it is a directory".to_owned());
    }
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(words::of_io(&error)),
    };
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        format!("line {line} is not UTF-8 text")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_said_in_plain_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");

        assert_eq!(read(&path), Ok(None));
        assert_eq!(read(folder.path()), Err("it is a directory".to_owned()));
        std::fs::write(&path, b"one\ntwo \xff\n").unwrap();
        assert_eq!(read(&path), Err("line 2 is not UTF-8 text".to_owned()));
        std::fs::write(&path, "one\n").unwrap();
        assert_eq!(read(&path), Ok(Some("one\n".to_owned())));
    }
}
