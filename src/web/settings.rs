//! The configuration's file, for admins: `/v1/config` and `/v1/config/check`.
//!
//! A text is taken if it has no mistake and can be applied while the router runs. It takes the file's place at once and whole, the
//! one before is kept beside it as `.bak`, and should the router not apply it after all, that one comes back.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tracing::warn;
use utoipa::{OpenApi, ToSchema};

use super::door::Door;
use super::visitor::Visitor;
use crate::config::{self, Config};
use crate::daemon::report::ReloadReport;
use crate::daemon::{EventKind, Sent, Wrong, refused};

/// `GET /v1/config`.
#[derive(Debug, Serialize, ToSchema)]
struct ConfigReport {
    path: String,
    text: String,
}

/// `POST /v1/config/check`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ConfigText {
    text: String,
}

/// `POST /v1/config`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewConfig {
    text: String,
    /// The text that was changed: if the file has another one now, somebody else was faster.
    #[serde(default)]
    was: Option<String>,
}

/// What there is to say of a text.
#[derive(Debug, Serialize, ToSchema)]
struct CheckReport {
    /// Whether it can be applied.
    ok: bool,
    /// Why not, with the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What may not be as its owner expects, each with its line.
    warnings: Vec<String>,
}

/// What these paths are to people and programs.
#[derive(OpenApi)]
#[openapi(paths(read, check, write))]
pub(super) struct Document;

/// All of it.
pub(super) fn routes() -> Router<Door> {
    Router::new().route("/v1/config", get(read).post(write)).route("/v1/config/check", post(check))
}

/// The configuration's file
#[utoipa::path(
    get,
    path = "/v1/config",
    responses(
        (status = 200, description = "The answer", body = ConfigReport),
        Wrong
    )
)]
async fn read(State(door): State<Door>) -> Result<Response, Response> {
    let path = door.router().config_path().to_owned();
    let shown = path.display().to_string();
    let text = beside(move || fs::read_to_string(path)).await?.map_err(|error| unusable(&shown, &error))?;
    Ok(Json(ConfigReport { path: shown, text }).into_response())
}

/// Say what is wrong with a configuration
#[utoipa::path(
    post,
    path = "/v1/config/check",
    request_body = ConfigText,
    responses(
        (status = 200, description = "What there is to say", body = CheckReport),
        Wrong
    )
)]
async fn check(State(door): State<Door>, Sent(asked): Sent<ConfigText>) -> Result<Response, Response> {
    let report = match judged(&door, asked.text).await? {
        Ok(config) => CheckReport { ok: true, error: None, warnings: warnings(&config) },
        Err(wrong) => CheckReport { ok: false, error: Some(wrong), warnings: Vec::new() },
    };
    Ok(Json(report).into_response())
}

/// Write the configuration's file, and apply it
#[utoipa::path(
    post,
    path = "/v1/config",
    request_body = NewConfig,
    responses(
        (status = 200, description = "What is different now", body = ReloadReport),
        Wrong
    )
)]
async fn write(
    State(door): State<Door>,
    Extension(admin): Extension<Visitor>,
    Sent(asked): Sent<NewConfig>,
) -> Result<Response, Response> {
    if let Err(wrong) = judged(&door, asked.text.clone()).await? {
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, &wrong));
    }
    let path = door.router().config_path().to_owned();
    let shown = path.display().to_string();
    let written = beside(move || replace(&path, &asked.text, asked.was.as_deref())).await?;
    let replaced = match written {
        Ok(Some(replaced)) => replaced,
        Ok(None) => {
            let wrong = format!("{shown} is not as it was when you began: somebody else has changed it; read it again");
            return Err(refused(StatusCode::CONFLICT, &wrong));
        }
        Err(error) => return Err(unusable(&shown, &error)),
    };
    let by = Some(admin.shown().to_string());
    door.tell(
        EventKind::ConfigurationWritten,
        None,
        by,
        Some(format!("the one before is {}", replaced.before.display())),
    );
    match door.router().reload(admin.actor()).await {
        Some(Ok(report)) => Ok(Json(report).into_response()),
        Some(Err(wrong)) => {
            beside(move || replaced.put_back()).await?;
            Err(refused(StatusCode::UNPROCESSABLE_ENTITY, &wrong))
        }
        None => Err(refused(StatusCode::SERVICE_UNAVAILABLE, "the router is stopping; the file is written")),
    }
}

/// What the text says, or why it cannot be applied.
async fn judged(door: &Door, text: String) -> Result<Result<Config, String>, Response> {
    let path = door.router().config_path().to_owned();
    let read = beside(move || config::check(&path, &text).map_err(|error| error.to_string())).await?;
    Ok(read.and_then(|config| door.router().can_apply(&config).map(|()| config)))
}

fn warnings(config: &Config) -> Vec<String> {
    let later = config.warnings.iter().map(|warning| {
        (warning.line, format!("line {}: {} has no effect in this version", warning.line, warning.what))
    });
    let advice = config.advice.iter().map(|advice| (advice.line, format!("line {}: {}", advice.line, advice.text)));
    let mut all: Vec<_> = later.chain(advice).collect();
    all.sort();
    all.into_iter().map(|(_, text)| text).collect()
}

/// Works on files beside the runtime.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Response> {
    spawn_blocking(work).await.map_err(|error| refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}

fn unusable(path: &str, error: &io::Error) -> Response {
    refused(StatusCode::SERVICE_UNAVAILABLE, &format!("{path}: {error}; let the router read and write there"))
}

/// A file that another has taken the place of.
#[derive(Debug)]
struct Replaced {
    path: PathBuf,
    /// Where the one before is kept.
    before: PathBuf,
}

impl Replaced {
    fn put_back(&self) {
        if let Err(error) = fs::copy(&self.before, beside_of(&self.path, "new"))
            .and_then(|_| fs::rename(beside_of(&self.path, "new"), &self.path))
        {
            warn!(%error, path = %self.path.display(), "configuration that cannot be applied stays in the file");
        }
    }
}

/// Writes `text` in the place of the file at `path`, with its owner and permissions; a link stays one. `None`: there is
/// another text in it than `was`.
fn replace(path: &Path, text: &str, was: Option<&str>) -> io::Result<Option<Replaced>> {
    let path = fs::canonicalize(path)?;
    let current = fs::read(&path)?;
    if was.is_some_and(|was| was.as_bytes() != current) {
        return Ok(None);
    }
    let metadata = fs::metadata(&path)?;
    let (new, before) = (beside_of(&path, "new"), beside_of(&path, "bak"));
    let write = |to: &Path, contents: &[u8]| -> io::Result<()> {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(contents)?;
        fchown(&file, Some(metadata.uid()), Some(metadata.gid()))?;
        file.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
        file.sync_all()?;
        fs::rename(&new, to)
    };
    write(&before, &current)?;
    write(&path, text.as_bytes())?;
    Ok(Some(Replaced { path, before }))
}

/// `/etc/potato/potato.toml` -> `/etc/potato/potato.toml.bak`.
fn beside_of(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn file_is_replaced_whole_and_the_one_before_can_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("potato.toml"), folder.path().join("link.toml"));
        fs::write(&path, "one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        let replaced = replace(&link, "two", Some("one")).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(folder.path().join("potato.toml.bak")).unwrap(), "one");
        replaced.put_back();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(!beside_of(&path, "new").exists());
    }

    #[test]
    fn text_that_somebody_else_has_changed_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("potato.toml");
        fs::write(&path, "his").unwrap();
        assert!(replace(&path, "mine", Some("before")).unwrap().is_none());
        assert_eq!(fs::read_to_string(&path).unwrap(), "his");
        assert!(replace(&path, "mine", None).unwrap().is_some());
    }
}
