//! A stream of XMPP: one endless document, of which each element below the first is read whole (RFC 6120 section 4).
//!
//! Whatever a server sends, an element is bounded in size and depth; what XMPP forbids (RFC 6120 section 11.1: document types,
//! processing instructions, comments, entities of one's own) ends the stream.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, Take};

use super::element::Element;
use crate::notify::said::fit_to_show;

/// Largest element, in bytes (RFC 6120 section 13.12: at least 10,000).
const LARGEST: u64 = 256 * 1024;
/// Deepest element.
const DEEPEST: usize = 32;
/// Most attributes of an element: each is compared with all before it, so that none comes twice.
const MOST_ATTRIBUTES: usize = 64;

/// Why there is no next element.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    #[error("the server has closed the stream")]
    Closed,
    #[error("the server's XML cannot be read: {}", fit_to_show(&.0.to_string()))]
    Xml(#[from] quick_xml::Error),
    #[error("the server sends what XMPP forbids")]
    Forbidden,
    #[error("the server sends more than {LARGEST} bytes at once")]
    TooLarge,
}

/// The elements of a stream.
pub(super) struct Elements<R> {
    reader: Reader<Take<R>>,
}

impl<R: AsyncBufRead + Unpin> Elements<R> {
    /// Reads from the stream's beginning.
    pub(super) fn new(source: R) -> Self {
        let mut reader = Reader::from_reader(source.take(LARGEST));
        reader.config_mut().trim_text(false);
        Self { reader }
    }

    /// What is read from.
    pub(super) fn source(&mut self) -> &mut R {
        self.reader.get_mut().get_mut()
    }

    /// Gives back what is read from, for a new stream on it.
    pub(super) fn into_source(self) -> R {
        self.reader.into_inner().into_inner()
    }

    /// Reads the start of the document.
    pub(super) async fn open(&mut self) -> Result<(), ReadError> {
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            match self.event(&mut buffer).await? {
                Event::Start(start) if start.local_name().as_ref() == b"stream" => return Ok(()),
                Event::Decl(_) | Event::Text(_) => {}
                Event::Eof => return Err(ReadError::Closed),
                _ => return Err(ReadError::Forbidden),
            }
        }
    }

    /// Reads the next element. Dropped half-way, it loses what it has read.
    pub(super) async fn next(&mut self) -> Result<Element, ReadError> {
        self.reader.get_mut().set_limit(LARGEST);
        let (mut buffer, mut open) = (Vec::new(), Vec::<Element>::new());
        loop {
            buffer.clear();
            let event = self.event(&mut buffer).await?;
            let finished = match event {
                Event::Start(start) if open.len() < DEEPEST => {
                    open.push(begun(&start)?);
                    None
                }
                Event::Empty(start) if open.len() < DEEPEST => Some(begun(&start)?),
                Event::End(_) => Some(open.pop().ok_or(ReadError::Closed)?),
                Event::Text(text) => add_text(&mut open, &text.decode().map_err(quick_xml::Error::from)?),
                Event::CData(text) => add_text(&mut open, &text.decode().map_err(quick_xml::Error::from)?),
                Event::GeneralRef(reference) => add_text(&mut open, &resolved(&reference)?),
                Event::Eof if self.reader.get_ref().limit() == 0 => return Err(ReadError::TooLarge),
                Event::Eof => return Err(ReadError::Closed),
                _ => return Err(ReadError::Forbidden),
            };
            match (finished, open.last_mut()) {
                (Some(element), Some(parent)) => parent.children.push(element),
                (Some(element), None) => return Ok(element),
                // Between elements nothing counts: a server may send spaces for ever.
                (None, None) => self.reader.get_mut().set_limit(LARGEST),
                (None, Some(_)) => {}
            }
        }
    }

    async fn event<'b>(&mut self, buffer: &'b mut Vec<u8>) -> Result<Event<'b>, ReadError> {
        Ok(self.reader.read_event_into_async(buffer).await?)
    }
}

impl<R: AsyncBufRead + Unpin> Elements<R> {
    /// Whether more has come than was read: a server may send nothing between its consent to TLS and TLS itself.
    pub(super) async fn has_more(&mut self) -> bool {
        let more = self.source().fill_buf();
        tokio::time::timeout(std::time::Duration::ZERO, more)
            .await
            .is_ok_and(|more| more.is_ok_and(|more| !more.is_empty()))
    }
}

fn begun(start: &BytesStart<'_>) -> Result<Element, ReadError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut element = Element { name: text(start.local_name().as_ref()), ..Element::default() };
    for attribute in start.attributes() {
        if element.attributes.len() == MOST_ATTRIBUTES {
            return Err(ReadError::Forbidden);
        }
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        let value = attribute.unescape_value()?.into_owned();
        element.attributes.push((text(attribute.key.as_ref()), value));
    }
    Ok(element)
}

fn add_text(open: &mut [Element], text: &str) -> Option<Element> {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
    None
}

fn resolved(reference: &BytesRef<'_>) -> Result<String, ReadError> {
    if let Some(character) = reference.resolve_char_ref()? {
        return Ok(character.to_string());
    }
    let name = reference.decode().map_err(quick_xml::Error::from)?;
    resolve_predefined_entity(&name).map(str::to_owned).ok_or(ReadError::Forbidden)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;
    use crate::notify::xmpp::element::escaped;

    const OPEN: &str = "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' id='1'>";

    async fn read(body: &str) -> Vec<Result<Element, String>> {
        read_from(format!("{OPEN}{body}").as_bytes()).await
    }

    async fn read_from(source: impl AsyncBufRead + Unpin) -> Vec<Result<Element, String>> {
        let mut elements = Elements::new(source);
        if let Err(error) = elements.open().await {
            return vec![Err(error.to_string())];
        }
        let mut read = Vec::new();
        loop {
            let next = elements.next().await.map_err(|error| error.to_string());
            let is_end = next.is_err();
            read.push(next);
            if is_end {
                return read;
            }
        }
    }

    #[tokio::test]
    async fn elements_come_whole() {
        let read = read(
            " <stream:features><starttls xmlns='urn:tls'/></stream:features>\n<message from='a@b/c'><body>1 &lt; 2 &amp;&#x41;<![CDATA[<]]></body></message></stream:stream>",
        )
        .await;
        assert_eq!(read.len(), 3);
        let features = read[0].as_ref().unwrap();
        assert_eq!(
            (features.name.as_str(), features.child("starttls").unwrap().attribute("xmlns")),
            ("features", Some("urn:tls"))
        );
        let message = read[1].as_ref().unwrap();
        assert_eq!(
            (message.attribute("from"), message.child("body").unwrap().text.as_str()),
            (Some("a@b/c"), "1 < 2 &A<")
        );
        assert!(read[2].as_ref().unwrap_err().contains("closed"));
    }

    #[tokio::test]
    async fn what_is_forbidden_too_large_or_too_deep_ends_the_stream() {
        for (body, says) in [
            ("<!DOCTYPE x [<!ENTITY a \"b\">]>".to_owned(), "forbids"),
            ("<message>&a;</message>".to_owned(), "forbids"),
            ("<!-- x -->".to_owned(), "forbids"),
            ("<a>".repeat(100), "forbids"),
            ("<a>".repeat(32) + "<b/>", "forbids"),
            (attributes(65), "forbids"),
            (format!("<message>{}", "x".repeat(300_000)), "bytes at once"),
            (format!("<message x='{}", "x".repeat(300_000)), ""),
            ("<a></b>".to_owned(), "cannot be read"),
            ("<a x='' x=''/>".to_owned(), "cannot be read"),
        ] {
            let end = read(&body).await.pop().unwrap().unwrap_err();
            assert!(end.contains(says), "{says}: {end}");
        }
    }

    fn attributes(number: usize) -> String {
        let all: String = (0..number).map(|number| format!(" a{number}=''")).collect();
        format!("<message{all}/>")
    }

    #[tokio::test]
    async fn what_is_allowed_at_most_is_read() {
        let deepest = format!("{}{}", "<a>".repeat(32), "</a>".repeat(32));
        for body in [deepest, attributes(64), format!("<message>{}</message>", "x".repeat(262_000))] {
            assert!(read(&body).await[0].is_ok(), "{} bytes", body.len());
        }
    }

    #[tokio::test]
    async fn what_a_server_says_wrongly_is_shown_without_what_would_steer_a_terminal() {
        let end = read(&format!("<a></b\u{1b}[2J{}>", "x".repeat(5_000))).await.pop().unwrap().unwrap_err();
        assert!(!end.chars().any(char::is_control) && end.len() < 300, "{end}");
    }

    fn text() -> impl Strategy<Value = String> {
        "[ -~äß\u{1f954}\n\t]{0,20}"
    }

    fn element() -> impl Strategy<Value = Element> {
        let attributes = proptest::collection::btree_map("[a-z][a-z0-9-]{0,5}", text(), 0..4);
        let leaf = ("[a-z]{1,8}", attributes, text()).prop_map(|(name, attributes, text)| {
            // An attribute's line breaks and tabs are spaces (XML 1.0 section 3.3.3), unless they are written as numbers.
            let plain = |(key, value): (String, String)| (key, value.replace(['\n', '\t'], " "));
            Element { name, attributes: attributes.into_iter().map(plain).collect(), children: Vec::new(), text }
        });
        leaf.prop_recursive(4, 20, 4, |inner| {
            (inner.clone(), proptest::collection::vec(inner, 0..4)).prop_map(|(mut element, children)| {
                element.children = children;
                element
            })
        })
    }

    /// As a server would write it.
    fn written(element: &Element) -> String {
        let Element { name, attributes, children, text } = element;
        let attributes: String = attributes.iter().map(|(key, value)| format!(" {key}='{}'", escaped(value))).collect();
        let children: String = children.iter().map(written).collect();
        if children.is_empty() && text.is_empty() {
            return format!("<{name}{attributes}/>");
        }
        format!("<{name}{attributes}>{}{children}</{name}>", escaped(text))
    }

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn stream_reads_the_same_however_it_is_cut(all in proptest::collection::vec(element(), 0..4)) {
            let body: String = all.iter().map(written).collect();
            let text = format!("{OPEN}{body}</stream:stream>");
            let bytes = text.as_bytes();
            run(async {
                for cut in 0..=bytes.len() {
                    let mut read = read_from((&bytes[..cut]).chain(&bytes[cut..])).await;
                    prop_assert!(read.pop().unwrap().unwrap_err().contains("closed"));
                    let read: Vec<Element> = read.into_iter().map(Result::unwrap).collect();
                    prop_assert_eq!(&read, &all, "cut at {}", cut);
                }
                let read = read_from(BufReader::with_capacity(1, bytes)).await;
                prop_assert_eq!(read.len(), all.len() + 1);
                Ok(())
            })?;
        }

        #[test]
        fn whatever_comes_is_read_within_bounds_or_ends_the_stream(bytes in proptest::collection::vec(hostile(), 0..400)) {
            let bytes = [OPEN.as_bytes(), &bytes.concat()].concat();
            let (whole, slowly) = run(async { (read_from(&bytes[..]).await, read_from(BufReader::with_capacity(1, &bytes[..])).await) });
            prop_assert_eq!(&whole, &slowly);
            for element in whole.iter().filter_map(|next| next.as_ref().ok()) {
                prop_assert!(depth(element) <= DEEPEST);
            }
            let end = whole.last().unwrap().as_ref().unwrap_err();
            prop_assert!(!end.is_empty() && !end.chars().any(char::is_control), "{}", end);
        }
    }

    /// Pieces of which something like XML comes about.
    fn hostile() -> impl Strategy<Value = Vec<u8>> {
        let pieces: Vec<&'static [u8]> = vec![
            b"<a>",
            b"</a>",
            b"<a/>",
            b"<b x='",
            b"' y=\"",
            b"\"",
            b"'>",
            b"<![CDATA[",
            b"]]>",
            b"<!--",
            b"-->",
            b"<?x ?>",
            b"&lt;",
            b"&#x1b;",
            b"&#0;",
            b"&#xd800;",
            b"&x;",
            b"<!DOCTYPE a>",
            b"<stream:stream>",
            b"</stream:stream>",
            b"\xff",
            b" ",
            b">",
            b"<",
        ];
        prop_oneof![
            proptest::sample::select(pieces).prop_map(<[u8]>::to_vec),
            proptest::collection::vec(any::<u8>(), 1..4)
        ]
    }

    fn depth(element: &Element) -> usize {
        1 + element.children.iter().map(depth).max().unwrap_or(0)
    }
}
