//! Lines on disk: what a crash, a full disk and other programs may leave there.

use alknet_proto::{Code, ForwardId, Reason, Stage};

use super::super::record::{RuleRecord, State};
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_769_860_800 + second).unwrap()
}

fn line(second: i64) -> Record {
    Record::Rule(RuleRecord {
        at: at(second),
        id: ForwardId(1),
        name: "web".parse().unwrap(),
        destination: "prod".parse().unwrap(),
        tags: Vec::new(),
        state: State::Suspended,
        reason: Some(Reason::new(Stage::Tcp, Code::TimedOut, "no answer")),
    })
}

fn moments(file: &JournalFile) -> (Vec<i64>, u64) {
    let contents = file.read();
    let seconds = contents.records.iter().map(|record| record.at().as_second() - at(0).as_second());
    (seconds.collect(), contents.n_skipped)
}

#[test]
fn lines_are_read_back_in_their_order_and_belong_to_the_user_alone() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = JournalFile::new(folder.path(), Limits::default());
    assert_eq!(moments(&file), (vec![], 0));

    file.append(&[line(1), line(2)]).unwrap();
    file.append(&[line(3)]).unwrap();
    file.sync().unwrap();

    assert_eq!(moments(&file), (vec![1, 2, 3], 0));
    assert_eq!(moments(&JournalFile::new(folder.path(), Limits::default())), (vec![1, 2, 3], 0));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(file.path()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_torn_last_line_is_left_out_and_the_next_one_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = JournalFile::new(folder.path(), Limits::default());
    file.append(&[line(1), line(2)]).unwrap();
    let whole = std::fs::read(file.path()).unwrap();

    for torn in 1..line(2).line().len() {
        std::fs::write(file.path(), &whole[..whole.len() - torn]).unwrap();
        let mut file = JournalFile::new(folder.path(), Limits::default());
        // A line that lacks nothing but its newline is whole.
        let expected = if torn == 1 { (vec![1, 2], 0) } else { (vec![1], 1) };
        assert_eq!(moments(&file), expected, "{torn} bytes are missing");

        file.append(&[line(3)]).unwrap();

        let (seconds, _) = moments(&file);
        assert_eq!(seconds.last(), Some(&3), "{torn} bytes are missing");
    }
}

#[test]
fn what_others_wrote_into_it_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut file = JournalFile::new(folder.path(), Limits::default());
    file.append(&[line(1)]).unwrap();
    let mut bytes = std::fs::read(file.path()).unwrap();
    bytes.extend_from_slice(b"\0\0\0\0\n");
    bytes.extend_from_slice(&vec![b'x'; 1 << 20]);
    bytes.extend_from_slice(b"\n\xff\xfe\n\n\n{\"v\":9,\"at\":\"2026-01-31T12:00:00Z\"}\n");
    bytes.extend_from_slice(&line(2).line());
    std::fs::write(file.path(), bytes).unwrap();

    assert_eq!(moments(&file), (vec![1, 2], 4));
}

#[test]
fn a_file_that_others_made_huge_does_not_fill_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { file_bytes: 1000, ..Limits::default() };
    let file = JournalFile::new(folder.path(), limits);
    let huge = std::fs::File::create(file.path()).unwrap();
    huge.set_len(1 << 40).unwrap();

    assert_eq!(moments(&file), (vec![], 1));
}

#[test]
fn a_full_or_an_old_file_becomes_the_older_one_and_no_third_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { file_bytes: 1000, file_age: SignedDuration::from_hours(1) };
    let mut file = JournalFile::new(folder.path(), limits);
    for second in 0..100 {
        file.append(&[line(second)]).unwrap();
        if file.is_full(at(second)) {
            file.begin_anew().unwrap();
        }
        let bytes: u64 = std::fs::read_dir(folder.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(bytes < 2 * 1200, "{bytes} bytes are kept");
    }
    assert_eq!(moments(&file).0.last(), Some(&99));
    assert!(std::fs::read_dir(folder.path()).unwrap().count() <= 2);

    file.append(&[line(100)]).unwrap();
    assert!(!file.is_full(at(101)));
    assert!(file.is_full(at(100 + 3600)));
    assert!(JournalFile::new(folder.path(), limits).append(&[line(101)]).is_ok());
}

#[test]
fn a_journal_that_is_no_file_is_an_error_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("outages.jsonl")).unwrap();
    let mut file = JournalFile::new(folder.path(), Limits::default());

    assert!(file.append(&[line(1)]).is_err());
    assert_eq!(moments(&file), (vec![], 0));
}
