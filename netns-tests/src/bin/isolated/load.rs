//! Hosts that download and upload without end, so that every line of the pool is full both ways.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use netns_tests::{Lab, LabError, SERVER};

/// How long a connection may stand still before another is made.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of one transfer: longer than any measurement.
const BYTES: u64 = 10_000_000_000;

/// What a transfer does.
#[derive(Clone, Copy)]
enum Way {
    Down,
    Up,
}

/// Running transfers, ended when dropped.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `downloads` and `uploads` on each of the lab's hosts but the first, which measures.
    pub(crate) fn start(lab: &Lab, hosts: u8, downloads: usize, uploads: usize) -> Result<Self, LabError> {
        let mut load = Self { stop: Arc::default(), threads: Vec::new() };
        for host in 2..=hosts {
            let ways = std::iter::repeat_n(Way::Down, downloads).chain(std::iter::repeat_n(Way::Up, uploads));
            for way in ways {
                let stop = Arc::clone(&load.stop);
                let transfer = move || {
                    while !stop.load(Ordering::Relaxed) {
                        // A line that is full may lose a connection's first packets: then another one is made.
                        let _ = transfer(way, &stop);
                    }
                };
                // Threads that are made inside stay inside.
                load.threads.push(lab.host(host).run(|| std::thread::spawn(transfer))?);
            }
        }
        Ok(load)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that has panicked has ended, too.
            drop(thread.join());
        }
    }
}

fn transfer(way: Way, stop: &AtomicBool) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((SERVER, 80)), PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let method = match way {
        Way::Down => "GET",
        Way::Up => "PUT",
    };
    stream.write_all(format!("{method} /bytes/{BYTES} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut block = vec![0; 64 * 1024];
    while !stop.load(Ordering::Relaxed) {
        let moved = match way {
            Way::Down => stream.read(&mut block)?,
            Way::Up => stream.write(&block)?,
        };
        if moved == 0 {
            break;
        }
    }
    Ok(())
}
