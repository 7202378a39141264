//! The ways by which people are told, each with its keys.

use std::fmt;
use std::path::{Path, PathBuf};

use hyper::Uri;

use super::template::{Template, template};
use crate::config::error::Mistake;
use crate::config::password::PasswordError;
use crate::config::section::{Section, Value, list, text};
use crate::config::values;
use crate::link::pppoe::Secret;

/// Longest text of a key, in bytes.
const LONGEST_TEXT: usize = 1_000;
/// The port of XMPP's clients (RFC 6120 section 14.7), and the one where TLS comes first (XEP-0368).
const XMPP_PORTS: (u16, u16) = (5222, 5223);
/// The port by which mail is handed in (RFC 6409 section 3.1), and the one where TLS comes first (RFC 8314 section 3.3).
const MAIL_PORTS: (u16, u16) = (587, 465);

/// A way by which people are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// `webhook`: a request of the file's own making.
    Webhook(Webhook),
    /// `slack`: an incoming webhook of Slack's, or of what understands the same (Mattermost, Rocket.Chat).
    Slack(Slack),
    /// `ntfy`: a topic of ntfy.sh, or of a server of one's own.
    Ntfy(Ntfy),
    /// `matrix`: a room.
    Matrix(Matrix),
    /// `mail`.
    Mail(Box<Mail>),
    /// `xmpp`: a bot that speaks to people and rooms, and listens to some.
    Xmpp(Box<Xmpp>),
}

impl ChannelKind {
    /// As it is written in the file.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Slack(_) => "slack",
            Self::Ntfy(_) => "ntfy",
            Self::Matrix(_) => "matrix",
            Self::Mail(_) => "mail",
            Self::Xmpp(_) => "xmpp",
        }
    }
}

/// A server, and how to speak to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name or address; the name that its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What keeps others from listening.
    pub security: Security,
    /// The certificates that vouch for it in place of the system's: a file in PEM.
    pub ca_file: Option<PathBuf>,
}

/// What keeps others from listening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS once both sides have agreed on it; nothing is said before.
    StartTls,
    /// Nothing: for a server on the LAN.
    Off,
}

/// Where a request goes. Its path may be a secret, and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// The server.
    pub server: Server,
    /// Path and query; begins with `/`.
    pub path: String,
}

impl HttpUrl {
    /// What stands in the header `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        let Server { host, port, security, .. } = &self.server;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        match (security, port) {
            (Security::Off, 80) | (Security::Tls, 443) => host,
            _ => format!("{host}:{port}"),
        }
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({:?}, path not shown)", self.server)
    }
}

/// `kind = "webhook"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is posted.
    pub url: HttpUrl,
    /// What is posted; `None`: a JSON of the router's own.
    pub template: Option<Template>,
    /// What that is; `application/json` unless the file says otherwise.
    pub content_type: String,
    /// Who we are to the server (`Authorization: Bearer`).
    pub token: Option<Secret>,
}

/// `kind = "slack"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slack {
    /// Where it is posted.
    pub url: HttpUrl,
}

/// `kind = "ntfy"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ntfy {
    /// The topic.
    pub url: HttpUrl,
    /// Who we are to the server.
    pub token: Option<Secret>,
}

/// `kind = "matrix"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// The homeserver.
    pub server: HttpUrl,
    /// The room's id: `!abc:example.net`.
    pub room: String,
    /// The account's access token.
    pub token: Secret,
}

/// `kind = "mail"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Who takes it.
    pub server: Server,
    /// Who we are to the server; `None`: it does not ask.
    pub login: Option<(String, Secret)>,
    /// From whom.
    pub from: String,
    /// To whom: at least one.
    pub to: Vec<String>,
}

/// `kind = "xmpp"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xmpp {
    /// The account: the part before the `@`.
    pub user: String,
    /// The part behind it, for which the server's certificate must be.
    pub domain: String,
    /// The server.
    pub server: Server,
    /// The account's password.
    pub password: Secret,
    /// A room to be in and to speak to.
    pub room: Option<String>,
    /// Our name there.
    pub nick: String,
    /// Who is told, and answered.
    pub people: Vec<String>,
    /// Who may order lines up and down, and is answered.
    pub operators: Vec<String>,
}

/// A kind and the keys that only it, or some kinds, have.
const KINDS: [(&str, &[&str]); 6] = [
    ("webhook", &["url", "url_file", "template", "content_type", "token_file", "ca_file"]),
    ("slack", &["url", "url_file", "ca_file"]),
    ("ntfy", &["url", "token_file", "ca_file"]),
    ("matrix", &["server", "room", "token_file", "ca_file"]),
    ("mail", &["server", "tls", "ca_file", "username", "password_file", "from", "to"]),
    ("xmpp", &["jid", "password_file", "server", "tls", "ca_file", "room", "nick", "people", "operators"]),
];

/// Reads the kind of a `[[notify]]` and its keys. `read_secret` reads the secret in a file.
pub(super) fn kind(
    section: &Section<'_, '_>,
    read_secret: &impl Fn(&Path) -> Result<Secret, PasswordError>,
) -> Result<ChannelKind, Mistake> {
    let words = KINDS.map(|(word, keys)| (word, (word, keys)));
    let (kind, keys) = section.required("kind", "\"ntfy\"", |value| values::word(value, &words))?;
    refuse_others(section, kind, keys)?;
    let keys = Keys { section, read_secret };
    Ok(match kind {
        "webhook" => ChannelKind::Webhook(keys.webhook()?),
        "slack" => ChannelKind::Slack(Slack { url: keys.url_or_its_file()? }),
        "ntfy" => ChannelKind::Ntfy(keys.ntfy()?),
        "matrix" => ChannelKind::Matrix(keys.matrix()?),
        "mail" => ChannelKind::Mail(Box::new(keys.mail()?)),
        _ => ChannelKind::Xmpp(Box::new(keys.xmpp()?)),
    })
}

/// Refuses keys that are of other kinds.
fn refuse_others(section: &Section<'_, '_>, kind: &str, own: &[&str]) -> Result<(), Mistake> {
    for key in KINDS.iter().flat_map(|(_, keys)| *keys).filter(|key| !own.contains(key)) {
        let whose: Vec<_> = KINDS.iter().filter(|(_, keys)| keys.contains(key)).map(|(kind, _)| *kind).collect();
        let right = format!("take the line out, for it is of kind {}", whose.join(", "));
        section.optional(key, |value| {
            Err::<(), _>(Mistake::new(value.span(), format!("a channel of kind \"{kind}\" has none"), right))
        })?;
    }
    Ok(())
}

/// The keys of a section.
struct Keys<'s, 'a, 'i, R> {
    section: &'s Section<'a, 'i>,
    read_secret: &'s R,
}

impl<R: Fn(&Path) -> Result<Secret, PasswordError>> Keys<'_, '_, '_, R> {
    fn webhook(&self) -> Result<Webhook, Mistake> {
        Ok(Webhook {
            url: self.url_or_its_file()?,
            template: self.section.optional("template", template)?,
            content_type: self.section.optional("content_type", content_type)?.unwrap_or("application/json".to_owned()),
            token: self.section.optional("token_file", |value| self.secret(value))?,
        })
    }

    fn ntfy(&self) -> Result<Ntfy, Mistake> {
        let url = self.section.required("url", "\"https://ntfy.sh/my-topic\"", http_url)?;
        let token = self.section.optional("token_file", |value| self.secret(value))?;
        Ok(Ntfy { url: self.vouched(url)?, token })
    }

    fn matrix(&self) -> Result<Matrix, Mistake> {
        let server = self.section.required("server", "\"https://matrix.example.net\"", http_url)?;
        let room = self.section.required("room", "\"!abc:example.net\"", |value| {
            let right = "the room's id, as its settings show it: \"!abc:example.net\"";
            parsed(value, right, |text| (text.starts_with('!') && text.len() > 1).then(|| text.to_owned()))
        })?;
        let token = self.section.required("token_file", "\"/etc/potato/matrix.token\"", |value| self.secret(value))?;
        Ok(Matrix { server: self.vouched(server)?, room, token })
    }

    fn mail(&self) -> Result<Mail, Mistake> {
        let server = self.server(MAIL_PORTS)?;
        let server = server.ok_or_else(|| missing(self.section, "server", "\"mail.example.net\""))?;
        let username = self.section.optional("username", plain)?;
        let password = self.section.optional("password_file", |value| self.secret(value))?;
        let login = match (username, password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            (Some(_), None) => return Err(missing(self.section, "password_file", "\"/etc/potato/mail.password\"")),
            (None, Some(_)) => return Err(missing(self.section, "username", "\"potato\"")),
        };
        if login.is_some() && server.security == Security::Off {
            let wrong = "the password would go over the wire for all to read";
            let right = "\"starttls\" or \"tls\", or no `username` and `password_file`";
            return Err(Mistake::new(self.section.place("tls"), wrong, right).of_key("tls"));
        }
        let from = self.section.required("from", "\"potato@example.net\"", mailbox)?;
        let to = self.section.required("to", "[\"anna@example.net\"]", |value| list(value, mailbox))?;
        Ok(Mail { server, login, from, to })
    }

    fn xmpp(&self) -> Result<Xmpp, Mistake> {
        let jid = self.section.required("jid", "\"potato@example.net\"", bare_jid)?;
        let (user, domain) = jid.split_once('@').unwrap_or((&jid, ""));
        let password =
            self.section.required("password_file", "\"/etc/potato/xmpp.password\"", |value| self.secret(value))?;
        let jids = |key| self.section.optional(key, |value| list(value, bare_jid));
        let room = self.section.optional("room", bare_jid)?;
        let (people, operators) = (jids("people")?.unwrap_or_default(), jids("operators")?.unwrap_or_default());
        if room.is_none() && people.is_empty() && operators.is_empty() {
            return Err(missing(self.section, "people", "[\"anna@example.net\"]"));
        }
        let (security, ca_file) = self.security()?;
        let port = if security == Security::Tls { XMPP_PORTS.1 } else { XMPP_PORTS.0 };
        let usual = Server { host: domain.to_owned(), port, security, ca_file };
        Ok(Xmpp {
            user: user.to_owned(),
            domain: domain.to_owned(),
            server: self.server(XMPP_PORTS)?.unwrap_or(usual),
            password,
            room,
            nick: self.section.optional("nick", plain)?.unwrap_or_else(|| "potato".to_owned()),
            people,
            operators,
        })
    }

    /// The key `server`: a name or an address, and a port or one of the usual ones (without and with TLS from the start).
    fn server(&self, ports: (u16, u16)) -> Result<Option<Server>, Mistake> {
        let (security, ca_file) = self.security()?;
        let usual = if security == Security::Tls { ports.1 } else { ports.0 };
        let right = "a server's name or address, with a port if it is not the usual one: \"mail.example.net:587\"";
        let ends = self.section.optional("server", |value| parsed(value, right, |text| host_and_port(text, usual)))?;
        Ok(ends.map(|(host, port)| Server { host, port, security, ca_file }))
    }

    fn security(&self) -> Result<(Security, Option<PathBuf>), Mistake> {
        let words = [("starttls", Security::StartTls), ("tls", Security::Tls), ("off", Security::Off)];
        let security = self.section.optional("tls", |value| values::word(value, &words))?;
        Ok((security.unwrap_or(Security::StartTls), self.section.optional("ca_file", values::directory)?))
    }

    fn url_or_its_file(&self) -> Result<HttpUrl, Mistake> {
        let given = self.section.optional("url", http_url)?;
        let in_file = self.section.optional("url_file", |value| {
            let secret = self.secret(value)?;
            // Without the file, when only the text is checked, there is nothing to be wrong about.
            if secret == Secret::default() {
                return Ok(parse_url("http://localhost/"));
            }
            let url = std::str::from_utf8(secret.reveal()).ok().and_then(parse_url);
            url.map(Some).ok_or_else(|| {
                Mistake::new(
                    value.span(),
                    "what is in the file is no address of a page",
                    "https://... as its only line",
                )
            })
        })?;
        match (given, in_file.flatten()) {
            (Some(url), None) | (None, Some(url)) => self.vouched(url),
            (None, None) => Err(missing(self.section, "url", "\"https://hooks.example.net/potato\"")),
            (Some(_), Some(_)) => {
                let right = "one of `url` and `url_file`";
                Err(Mistake::new(self.section.place("url_file"), "`url` says it already", right).of_key("url_file"))
            }
        }
    }

    fn vouched(&self, mut url: HttpUrl) -> Result<HttpUrl, Mistake> {
        url.server.ca_file = self.section.optional("ca_file", values::directory)?;
        Ok(url)
    }

    fn secret(&self, value: &Value<'_>) -> Result<Secret, Mistake> {
        let path = values::directory(value)?;
        (self.read_secret)(&path)
            .map_err(|error| Mistake::new(value.span(), format!("{}: {error}", path.display()), error.remedy(&path)))
    }
}

fn missing(section: &Section<'_, '_>, key: &str, example: &str) -> Mistake {
    let right = format!("add a line such as {key} = {example}");
    Mistake::new(section.span.clone(), format!("{} has no `{key}`", section.name), right)
}

/// Reads a text that `parse` understands.
fn parsed<T>(value: &Value<'_>, right: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, Mistake> {
    let given = text(value).map_err(|mistake| Mistake { right: right.to_owned(), ..mistake })?;
    let sound = given.len() <= LONGEST_TEXT && !given.chars().any(char::is_control);
    let parsed = if sound { parse(given) } else { None };
    parsed.ok_or_else(|| Mistake::new(value.span(), format!("\"{}\" is none", given.escape_debug()), right))
}

fn plain(value: &Value<'_>) -> Result<String, Mistake> {
    parsed(value, "a text without line breaks", |text| (!text.is_empty()).then(|| text.to_owned()))
}

fn content_type(value: &Value<'_>) -> Result<String, Mistake> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/;=-+._ ".contains(c);
    parsed(value, "a type of content, as in \"application/json\" or \"text/plain\"", |text| {
        (text.contains('/') && text.chars().all(allowed)).then(|| text.to_owned())
    })
}

/// Who can get mail (RFC 5321 section 4.1.2), in its everyday form.
fn mailbox(value: &Value<'_>) -> Result<String, Mistake> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.@".contains(c);
    parsed(value, "an address of mail, as in \"anna@example.net\"", |text| {
        let (user, domain) = text.split_once('@')?;
        let is_one = !user.is_empty() && !domain.is_empty() && !domain.contains('@') && text.chars().all(allowed);
        is_one.then(|| text.to_owned())
    })
}

/// Whom XMPP knows (RFC 7622), without a resource and in small letters.
fn bare_jid(value: &Value<'_>) -> Result<String, Mistake> {
    let forbidden = |c: char| c.is_whitespace() || "\"&'/:<>".contains(c);
    parsed(value, "an address of XMPP without a resource, as in \"anna@example.net\"", |text| {
        let (user, domain) = text.split_once('@')?;
        let is_one = !user.is_empty() && !domain.is_empty() && !domain.contains('@') && !text.contains(forbidden);
        is_one.then(|| text.to_lowercase())
    })
}

fn host_and_port(text: &str, usual: u16) -> Option<(String, u16)> {
    let authority: hyper::http::uri::Authority = text.parse().ok()?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let port = match authority.port() {
        Some(port) => Some(port.as_u16()).filter(|port| *port > 0)?,
        None if authority.as_str() == authority.host() => usual,
        None => return None,
    };
    (!host.is_empty() && !text.contains('@')).then(|| (host.to_owned(), port))
}

fn http_url(value: &Value<'_>) -> Result<HttpUrl, Mistake> {
    let right = "an address that begins with https:// or http://, without a name and password in it";
    parsed(value, right, parse_url)
}

fn parse_url(text: &str) -> Option<HttpUrl> {
    let uri: Uri = text.parse().ok()?;
    let (security, usual) = match uri.scheme_str()? {
        "https" => (Security::Tls, 443),
        "http" => (Security::Off, 80),
        _ => return None,
    };
    let (host, port) = host_and_port(uri.authority()?.as_str(), usual)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Some(HttpUrl { server: Server { host, port, security, ca_file: None }, path })
}
