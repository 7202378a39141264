//! The file that holds a password: who may read it, and what may stand in it.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::link::pppoe::Secret;
use crate::sys::process::effective_user;

/// Permissions of the group and of others.
const OTHERS: u32 = 0o077;

/// How files are looked at that the configuration names.
pub(super) struct Files {
    /// Reads the password in a file.
    pub(super) password: fn(&Path) -> Result<Secret, PasswordError>,
    /// Whether a certificate can be read.
    pub(super) certificate: fn(&Path) -> Result<(), PasswordError>,
    /// Whether a key can be read, by nobody else.
    pub(super) key: fn(&Path) -> Result<(), PasswordError>,
}

/// What is wrong with a password's file.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a directory, a pipe or the like.
    #[error("it is not a file")]
    NotAFile,
    /// Others may read it or write to it.
    #[error("others than its owner may use it (permissions {0:03o})")]
    Exposed(u32),
    /// Neither root nor we own it.
    #[error("it belongs to uid {0}, who is neither root nor the user who runs this")]
    Foreign(u32),
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// There is more in it than a password.
    #[error("it has more than one line")]
    SeveralLines,
    /// It holds more than PPP can send.
    #[error("the password is longer than {} bytes", Secret::LONGEST)]
    TooLong,
}

impl PasswordError {
    /// What would be right.
    pub(super) fn remedy(&self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::Unreadable(_) => format!("make {path} readable for its owner, root or the user who runs this"),
            Self::NotAFile => "name a plain file".to_owned(),
            Self::Exposed(_) => format!("chmod 600 {path}"),
            Self::Foreign(_) => format!("chown root {path}"),
            Self::Empty | Self::SeveralLines => "write the password into it, as its only line".to_owned(),
            Self::TooLong => format!("at most {} bytes", Secret::LONGEST),
        }
    }
}

/// Whether the file at `path` can be read.
pub(super) fn look_at(path: &Path) -> Result<(), PasswordError> {
    if File::open(path)?.metadata()?.is_file() { Ok(()) } else { Err(PasswordError::NotAFile) }
}

/// Whether the file at `path` can be read, by nobody else.
pub(super) fn look_at_secret(path: &Path) -> Result<(), PasswordError> {
    open(path).map(drop)
}

/// Opens a file that nobody else may read.
fn open(path: &Path) -> Result<File, PasswordError> {
    // All is asked of the open file, so that nobody can change places under it.
    let file = File::options().read(true).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(PasswordError::NotAFile);
    }
    if metadata.mode() & OTHERS != 0 {
        return Err(PasswordError::Exposed(metadata.mode() & 0o777));
    }
    if metadata.uid() != 0 && metadata.uid() != effective_user() {
        return Err(PasswordError::Foreign(metadata.uid()));
    }
    Ok(file)
}

/// Reads the password in the file at `path`.
pub(super) fn read(path: &Path) -> Result<Secret, PasswordError> {
    let mut bytes = Vec::new();
    // With room for the line's end, and one byte more to see that there is more.
    open(path)?.take(Secret::LONGEST as u64 + 3).read_to_end(&mut bytes)?;
    only_line(bytes)
}

fn only_line(mut bytes: Vec<u8>) -> Result<Secret, PasswordError> {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    if bytes.contains(&b'\n') {
        return Err(PasswordError::SeveralLines);
    }
    match bytes.len() {
        0 => Err(PasswordError::Empty),
        length if length > Secret::LONGEST => Err(PasswordError::TooLong),
        _ => Ok(Secret::new(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn written(content: &[u8], mode: u32) -> Result<Secret, PasswordError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        read(&path)
    }

    #[test]
    fn only_line_of_the_file_is_the_password() {
        for content in [&b"s3cret"[..], b"s3cret\n", b"s3cret\r\n"] {
            assert_eq!(written(content, 0o600).unwrap(), Secret::new(b"s3cret".to_vec()));
        }
        assert_eq!(written(b" \xff \n", 0o400).unwrap(), Secret::new(b" \xff ".to_vec()));
        assert!(matches!(written(b"", 0o600), Err(PasswordError::Empty)));
        assert!(matches!(written(b"\n", 0o600), Err(PasswordError::Empty)));
        assert!(matches!(written(b"one\ntwo\n", 0o600), Err(PasswordError::SeveralLines)));
        assert!(matches!(written(&[b'x'; 256], 0o600), Err(PasswordError::TooLong)));
        assert_eq!(written(&[b'x'; 255], 0o600).unwrap(), Secret::new(vec![b'x'; 255]));
    }

    #[test]
    fn file_that_others_may_read_or_that_is_none_is_refused() {
        for mode in [0o640, 0o604, 0o602, 0o610] {
            let error = written(b"s3cret", mode).unwrap_err();
            assert!(matches!(error, PasswordError::Exposed(found) if found == mode), "{error}");
        }
        assert!(matches!(read(Path::new("/")), Err(PasswordError::NotAFile)));
        assert!(matches!(read(Path::new("/no/such/file")), Err(PasswordError::Unreadable(_))));
    }

    #[test]
    fn errors_do_not_show_what_is_in_the_file() {
        let error = written(b"s3cret\nother\n", 0o600).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.remedy(Path::new("/p")));
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}
