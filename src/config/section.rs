//! A table of the file, read key by key: what is not known is refused, what is missing is asked for.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Mistake, suggestion};

/// A value and its place in the file.
pub(super) type Value<'i> = Spanned<DeValue<'i>>;

/// A table of the file.
pub(super) struct Section<'a, 'i> {
    /// As it stands in the file: `[lan]`, `[[uplink]]`.
    pub(super) name: &'static str,
    /// Where it starts.
    pub(super) span: Range<usize>,
    entries: &'a DeTable<'i>,
}

impl<'a, 'i> Section<'a, 'i> {
    /// Takes `entries`, in which only `known` keys may stand.
    pub(super) fn new(
        name: &'static str,
        span: Range<usize>,
        entries: &'a DeTable<'i>,
        known: &[&str],
    ) -> Result<Self, Mistake> {
        let unknown =
            entries.keys().filter(|key| !known.contains(&&**key.get_ref())).min_by_key(|key| key.span().start);
        match unknown {
            None => Ok(Self { name, span, entries }),
            Some(key) => {
                let word = key.get_ref();
                let wrong =
                    if name.is_empty() { "unknown section".to_owned() } else { format!("unknown key in {name}") };
                Err(Mistake::new(key.span(), wrong, suggestion(word, known)).of_key(word))
            }
        }
    }

    /// Takes `value` as a table.
    pub(super) fn open(name: &'static str, value: &'a Value<'i>, known: &[&str]) -> Result<Self, Mistake> {
        match value.get_ref() {
            DeValue::Table(entries) => Self::new(name, value.span(), entries, known),
            other => Err(Mistake::new(
                value.span(),
                format!("{} where a section should be", kind(other)),
                format!("write {name} on a line of its own"),
            )),
        }
    }

    /// The section `name` (`[key]`) in this one, if it is there.
    pub(super) fn section(
        &self,
        key: &str,
        name: &'static str,
        known: &[&str],
    ) -> Result<Option<Section<'a, 'i>>, Mistake> {
        self.value(key).map(|value| Self::open(name, value, known)).transpose()
    }

    /// All sections `name` (`[[key]]`) in this one, in the order of the file.
    pub(super) fn sections(
        &self,
        key: &str,
        name: &'static str,
        known: &[&str],
    ) -> Result<Vec<Section<'a, 'i>>, Mistake> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(Mistake::new(
                value.span(),
                "there may be several of these",
                format!("write {name}, with two brackets"),
            )
            .of_key(key));
        };
        items.iter().map(|item| Self::open(name, item, known)).collect()
    }

    /// Reads the value of `key`, if it is there.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        read: impl FnOnce(&'a Value<'i>) -> Result<T, Mistake>,
    ) -> Result<Option<T>, Mistake> {
        self.value(key).map(|value| read(value).map_err(|mistake| mistake.of_key(key))).transpose()
    }

    /// Reads the value of `key`, which must be there; `example` is shown when it is not.
    pub(super) fn required<T>(
        &self,
        key: &str,
        example: &str,
        read: impl FnOnce(&'a Value<'i>) -> Result<T, Mistake>,
    ) -> Result<T, Mistake> {
        self.optional(key, read)?.ok_or_else(|| {
            Mistake::new(
                self.span.clone(),
                format!("{} has no `{key}`", self.name),
                format!("add a line such as {key} = {example}"),
            )
        })
    }

    /// Where the value of `key` stands, else where the section starts.
    pub(super) fn place(&self, key: &str) -> Range<usize> {
        self.value(key).map_or(self.span.clone(), Spanned::span)
    }

    fn value(&self, key: &str) -> Option<&'a Value<'i>> {
        self.entries.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }
}

/// Reads text.
pub(super) fn text<'a>(value: &'a Value<'_>) -> Result<&'a str, Mistake> {
    value.get_ref().as_str().ok_or_else(|| wrong_type(value, "text in double quotes"))
}

/// Reads a switch.
pub(super) fn switch(value: &Value<'_>) -> Result<bool, Mistake> {
    value.get_ref().as_bool().ok_or_else(|| wrong_type(value, "true or false, without quotes"))
}

/// Reads a whole number within `range`.
pub(super) fn integer(value: &Value<'_>, range: std::ops::RangeInclusive<i64>) -> Result<i64, Mistake> {
    let right = || format!("a whole number from {} to {}", range.start(), range.end());
    let integer = value.get_ref().as_integer().ok_or_else(|| wrong_type(value, &right()))?;
    match i64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(Mistake::new(value.span(), format!("{integer} is out of range"), right())),
    }
}

/// Reads a list, item by item. One value without brackets counts as a list of one.
pub(super) fn list<'a, 'i, T>(
    value: &'a Value<'i>,
    read: impl Fn(&'a Value<'i>) -> Result<T, Mistake>,
) -> Result<Vec<T>, Mistake> {
    match value.get_ref() {
        DeValue::Array(items) if items.is_empty() => {
            Err(Mistake::new(value.span(), "the list is empty", "name at least one"))
        }
        DeValue::Array(items) => items.iter().map(read).collect(),
        _ => Ok(vec![read(value)?]),
    }
}

/// The value is of another type than it should be.
pub(super) fn wrong_type(value: &Value<'_>, right: &str) -> Mistake {
    Mistake::new(value.span(), format!("{} is not what belongs here", kind(value.get_ref())), right)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time without quotes",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
