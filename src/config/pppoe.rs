//! What an uplink of kind `pppoe` must and may say.

use std::path::Path;

use super::error::Mistake;
use super::password::PasswordError;
use super::section::{Section, Value, text};
use super::{Login, UplinkKind, values};
use crate::link::pppoe::{Account, Secret};

/// The keys that only such an uplink has.
pub(super) const KEYS: [&str; 4] = ["username", "password_file", "service", "concentrator"];

/// Longest name of a user: PAP has a byte for the length (RFC 1334 section 2.2.1).
const LONGEST_USERNAME: usize = 255;
/// Longest name of a service or a concentrator, so that it fits a frame with all else.
const LONGEST_NAME: usize = 255;

/// Reads how to dial. `read_password` reads the password in a file.
pub(super) fn login(
    section: &Section<'_, '_>,
    read_password: impl Fn(&Path) -> Result<Secret, PasswordError>,
) -> Result<UplinkKind, Mistake> {
    let username = section.required("username", "\"me@provider\"", |value| name(value, LONGEST_USERNAME))?;
    let service = section.optional("service", |value| name(value, LONGEST_NAME))?.unwrap_or_default();
    let concentrator = section.optional("concentrator", |value| name(value, LONGEST_NAME))?;
    let (password_file, password) = section.required("password_file", "\"/etc/potato/dsl1.password\"", |value| {
        let path = values::directory(value)?;
        let password = read_password(&path)
            .map_err(|error| Mistake::new(value.span(), format!("{}: {error}", path.display()), error.remedy(&path)))?;
        Ok((path, password))
    })?;
    let account = Account { username, password, service, concentrator };
    Ok(UplinkKind::Pppoe(Box::new(Login { account, password_file })))
}

/// Reads a name that a peer is told.
fn name(value: &Value<'_>, longest: usize) -> Result<String, Mistake> {
    let name = text(value)?;
    let wrong = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.len() > longest {
        format!("it is longer than {longest} bytes")
    } else if name.chars().any(char::is_control) {
        format!("\"{}\" has a control character in it", name.escape_debug())
    } else {
        return Ok(name.to_owned());
    };
    Err(Mistake::new(value.span(), wrong, format!("1 to {longest} bytes, as the provider writes it")))
}
