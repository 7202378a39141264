//! Elements of XML, as far as XMPP uses them.

use std::borrow::Cow;

use crate::notify::said::fit_to_show;

/// An element and all that is in it. Prefixes are left out: what matters here is told apart by names and `xmlns`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Element>,
    pub(super) text: String,
}

impl Element {
    /// The value of an attribute.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The name and the words of an error that a server has sent.
    pub(super) fn failure(&self) -> String {
        let condition = self.children.iter().find(|child| child.name != "text");
        let text = self.child("text").map_or("", |text| text.text.as_str());
        let said = format!("{} {text}", condition.map_or(self.name.as_str(), |condition| &condition.name));
        fit_to_show(&said)
    }
}

/// A text as content or as an attribute's value. What XML cannot carry is left out.
pub(super) fn escaped(text: &str) -> String {
    let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    let text: String = text.chars().filter(|c| allowed(*c) && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect();
    match quick_xml::escape::escape(text) {
        Cow::Owned(escaped) => escaped,
        Cow::Borrowed(same) => same.to_owned(),
    }
}

/// The part of an address before the resource, in small letters.
pub(super) fn bare(jid: &str) -> String {
    jid.split('/').next().unwrap_or_default().to_lowercase()
}
