//! Asynchronous work on a thread inside a namespace, stopped and joined when dropped.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::lab::error::During;
use super::lab::{LabError, Namespace};
use crate::sys;

/// A thread with a runtime of its own.
#[derive(Debug)]
pub(super) struct Tasks {
    /// Dropped to stop the work.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tasks {
    /// Runs `prepare` inside `namespace` and waits for its result, then leaves the future that it gave running.
    pub(super) fn start<P, R, W>(namespace: &Namespace, prepare: P) -> Result<Self, LabError>
    where
        P: FnOnce() -> R + Send + 'static,
        R: Future<Output = io::Result<W>>,
        W: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel();
        let (ready, result) = std::sync::mpsc::channel();
        let name = namespace.name().to_owned();
        let thread = std::thread::spawn(move || {
            let entered = sys::netns::run_in(&name, || serve(prepare, stopped, &ready));
            if let Err(error) = entered {
                let _ = ready.send(Err(error));
            }
        });
        let tasks = Self { stop: Some(stop), thread: Some(thread) };
        let started = result.recv().unwrap_or_else(|_| Err(io::ErrorKind::BrokenPipe.into()));
        started.during(|| format!("starting in namespace {}", namespace.name()))?;
        Ok(tasks)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It has told its panic already.
            let _ = thread.join();
        }
    }
}

/// Prepares, says how that went, and works until told to stop.
fn serve<P, R, W>(prepare: P, stopped: oneshot::Receiver<()>, ready: &std::sync::mpsc::Sender<io::Result<()>>)
where
    P: FnOnce() -> R,
    R: Future<Output = io::Result<W>>,
    W: Future<Output = ()>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.and_then(|runtime| {
        let work = runtime.block_on(prepare())?;
        Ok((runtime, work))
    });
    match result {
        Ok((runtime, work)) => {
            let _ = ready.send(Ok(()));
            runtime.block_on(async {
                tokio::select! { () = work => {}, _ = stopped => {} }
            });
        }
        Err(error) => drop(ready.send(Err(error))),
    }
}
