//! The lock on `run_dir`: one router a directory. The kernel lets go of it when the process ends, however it ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::HostError;

const LOCK: &str = "lock";

/// Held for as long as it lives. The file has our process id in it.
#[derive(Debug)]
pub(super) struct RunDirLock {
    file: File,
    path: PathBuf,
}

/// Makes the directory if need be (0755), and locks it.
pub(super) fn take(run_dir: &Path) -> Result<RunDirLock, HostError> {
    let error = |action, path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| match source.kind() {
            io::ErrorKind::PermissionDenied => HostError::Permission { what: format!("{action} {}", path.display()) },
            _ => HostError::RunDir { action, path, source },
        }
    };
    fs::DirBuilder::new().recursive(true).mode(0o755).create(run_dir).map_err(error("make the directory", run_dir))?;
    let path = run_dir.join(LOCK);
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(error("open the lock file", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(HostError::Running { pid: pid_in(&mut file), run_dir: run_dir.to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(error("lock", &path)(source)),
        }
        if is_still(&file, &path) {
            write_pid(&mut file).map_err(error("write the process id", &path))?;
            return Ok(RunDirLock { file, path });
        }
    }
}

impl RunDirLock {
    /// Deletes the file, and only then lets go: whoever opened the old one meanwhile sees that it is gone.
    pub(super) fn release(self) {
        let _gone_already_is_fine = fs::remove_file(&self.path);
        let _closing_unlocks_anyway = self.file.unlock();
    }
}

/// Whether `path` still names the file that was locked; a stopping router deletes its lock.
fn is_still(file: &File, path: &Path) -> bool {
    let same = |a: &fs::Metadata, b: &fs::Metadata| (a.dev(), a.ino()) == (b.dev(), b.ino());
    matches!((file.metadata(), fs::metadata(path)), (Ok(a), Ok(b)) if same(&a, &b))
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_router_is_refused_with_the_pid_of_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let run_dir = directory.path().join("run");
        let first = take(&run_dir).unwrap();
        let error = take(&run_dir).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        first.release();
        take(&run_dir).unwrap().release();
        assert!(!run_dir.join(LOCK).exists());
    }
}
