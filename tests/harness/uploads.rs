//! Connections that send as fast as they can until somebody ends them.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{self, JoinHandle};

use crate::content::Content;
use crate::load::connect;
use crate::wait::wait_until;

/// Uploads under way. Dropping them ends them.
#[derive(Debug)]
pub struct Uploads {
    streams: Vec<TcpStream>,
    sent: Vec<Arc<AtomicU64>>,
    writing: Vec<JoinHandle<io::Error>>,
}

impl Uploads {
    /// Starts `n_uploads` to `port` and waits until each of them has sent something worth the name.
    pub fn start(port: u16, n_uploads: usize) -> Self {
        let mut uploads = Uploads { streams: Vec::new(), sent: Vec::new(), writing: Vec::new() };
        for seed in 0..n_uploads {
            let stream = connect(port);
            let sent = Arc::new(AtomicU64::new(0));
            uploads.streams.push(stream.try_clone().unwrap());
            uploads.sent.push(sent.clone());
            uploads.writing.push(thread::spawn(move || write(stream, seed as u64, &sent)));
        }
        wait_until("every upload is under way", || uploads.sent.iter().all(|sent| 1 << 20 <= sent.load(Relaxed)));
        uploads
    }

    /// Waits until all of them have ended and says how.
    pub fn ended(&mut self) -> Vec<io::Error> {
        self.writing.drain(..).map(|writing| writing.join().expect("the writer does not panic")).collect()
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        for stream in &self.streams {
            let _ = stream.shutdown(Shutdown::Both);
        }
        for writing in self.writing.drain(..) {
            let _ = writing.join();
        }
    }
}

fn write(mut stream: TcpStream, seed: u64, sent: &AtomicU64) -> io::Error {
    let chunk = Content::bytes(seed, 64 << 10);
    loop {
        match stream.write(&chunk) {
            Ok(n_bytes) => sent.fetch_add(n_bytes as u64, Relaxed),
            Err(error) => return error,
        };
    }
}
