//! `[limits]`: what one host may have at most.

use super::error::Mistake;
use super::section::{Section, Value, integer, text, wrong_type};
use crate::engine::Limits;

pub(super) const KEYS: [&str; 3] = ["sessions", "new_per_second", "ports"];

/// A sixtieth of the table. A guest network behind one address has a few thousand, a busy BitTorrent client as many.
const SESSIONS: u32 = 16_384;
/// Eight times what a page full of pictures opens; whoever scans comes to 65,000 ports in two minutes.
const NEW_PER_SECOND: u32 = 500;
/// A quarter of what one line has for UDP. A port that was used once rests for minutes, so a resolver for a whole office has thousands.
const PORTS: u32 = 16_384;

/// As many as a file can allow, in words: more than there is of anything.
const MOST: u32 = 16_777_216;

/// Reads `[limits]`; what it does not name, or all when it is not there, is as this program thinks right.
pub(super) fn limits(section: Option<&Section<'_, '_>>) -> Result<Limits, Mistake> {
    let mut limits = Limits { sessions: Some(SESSIONS), new_per_second: Some(NEW_PER_SECOND), ports: Some(PORTS) };
    let Some(section) = section else { return Ok(limits) };
    let Limits { sessions, new_per_second, ports } = &mut limits;
    for (key, limit) in KEYS.into_iter().zip([sessions, new_per_second, ports]) {
        if let Some(given) = section.optional(key, limit_of)? {
            *limit = given;
        }
    }
    Ok(limits)
}

/// A number, or none: 0 says that too.
fn limit_of(value: &Value<'_>) -> Result<Option<u32>, Mistake> {
    let right = format!("a whole number up to {MOST}, or \"none\" for no limit");
    if let Ok("none") = text(value) {
        return Ok(None);
    }
    if value.get_ref().as_integer().is_none() {
        return Err(wrong_type(value, &right));
    }
    let number = integer(value, 0..=i64::from(MOST)).map_err(|mistake| Mistake { right, ..mistake })?;
    Ok(u32::try_from(number).ok().filter(|number| *number > 0))
}
