//! `[web]`: where the page of potatoes is served, to whom, and how.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::error::Mistake;
use super::password::{Files, PasswordError};
use super::section::{Section, Value};
use super::values;

/// Keys of the section.
pub(super) const KEYS: [&str; 3] = ["listen", "look", "tls"];
/// Keys of a certificate of one's own.
const CERTIFICATE: [&str; 2] = ["certificate", "key"];

/// `[web]`: where the pages are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Web {
    /// Address and port: the router's own on the LAN, for whoever reaches it sees the pages.
    pub listen: SocketAddr,
    /// Who may look without changing anything.
    pub look: Look,
    /// How connections are kept from others' eyes.
    pub tls: Tls,
}

/// Who may look at lines, hosts, flows and events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Look {
    /// Whoever reaches the pages.
    Anyone,
    /// Who has signed in.
    #[default]
    SignedIn,
}

impl Look {
    /// As it is written in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::SignedIn => "signed-in",
        }
    }
}

/// How connections to the pages are kept from others' eyes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    Off,
    /// With a certificate that the router makes for itself.
    #[default]
    SelfSigned,
    /// With a certificate of somebody's.
    Files {
        /// The certificate and those that lead to it, PEM.
        certificate: PathBuf,
        /// Its key, PEM.
        key: PathBuf,
    },
}

impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::SelfSigned => f.write_str("self-signed"),
            Self::Files { certificate, .. } => write!(f, "{}", certificate.display()),
        }
    }
}

/// Reads `[web]`.
pub(super) fn web(section: &Section<'_, '_>, files: &Files) -> Result<Web, Mistake> {
    let listen =
        section.required("listen", "\"192.168.10.1:8080\"", |value| values::listen(value, 8080, "serve the pages"))?;
    let looks = [Look::Anyone, Look::SignedIn];
    let look = section.optional("look", |value| values::word(value, &looks.map(|look| (look.name(), look))))?;
    let tls = section.optional("tls", |value| tls(value, files))?;
    Ok(Web { listen, look: look.unwrap_or_default(), tls: tls.unwrap_or_default() })
}

fn tls(value: &Value<'_>, files: &Files) -> Result<Tls, Mistake> {
    if let DeValue::Table(_) = value.get_ref() {
        let section = Section::open("tls", value, &CERTIFICATE)?;
        let certificate =
            section.required("certificate", "\"/etc/potato/web.pem\"", |value| file(value, files.certificate))?;
        let key = section.required("key", "\"/etc/potato/web.key\"", |value| file(value, files.key))?;
        return Ok(Tls::Files { certificate, key });
    }
    let known = [("off", Word::Off), ("self-signed", Word::SelfSigned)];
    let made = values::word(value, &known).map_err(|mistake| {
        let right = "`off`, `self-signed`, or { certificate = \"/etc/potato/web.pem\", key = \"/etc/potato/web.key\" }";
        Mistake { right: right.to_owned(), ..mistake }
    })?;
    Ok(match made {
        Word::Off => Tls::Off,
        Word::SelfSigned => Tls::SelfSigned,
    })
}

/// What `tls` may say in a word.
#[derive(Clone, Copy)]
enum Word {
    Off,
    SelfSigned,
}

fn file(value: &Value<'_>, look_at: fn(&Path) -> Result<(), PasswordError>) -> Result<PathBuf, Mistake> {
    let path = values::directory(value)?;
    look_at(&path)
        .map_err(|error| Mistake::new(value.span(), format!("{}: {error}", path.display()), error.remedy(&path)))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::{fs, path};

    use super::*;
    use crate::config;

    /// `rest` stands from line 7 on.
    fn text_with(rest: &str) -> String {
        let lines = "[lan]\ninterface = \"lan0\"\n[[uplink]]\nname = \"a\"\ninterface = \"wan1\"\nkind = \"dhcp\"\n";
        format!("{lines}{rest}")
    }

    fn parsed(rest: &str) -> Result<Web, String> {
        let config =
            config::parse(path::Path::new("f"), &text_with(&format!("[web]\nlisten = \"10.0.0.1:80\"\n{rest}")));
        config.map(|config| config.web.unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn pages_are_for_those_who_sign_in_and_encrypted_unless_the_file_says_otherwise() {
        let web = parsed("").unwrap();
        assert_eq!((web.look, web.tls), (Look::SignedIn, Tls::SelfSigned));
        let web = parsed("look = \"anyone\"\ntls = \"off\"").unwrap();
        assert_eq!((web.look, web.tls), (Look::Anyone, Tls::Off));
        let web = parsed("tls = { certificate = \"/a.pem\", key = \"/a.key\" }").unwrap();
        assert_eq!(web.tls, Tls::Files { certificate: "/a.pem".into(), key: "/a.key".into() });
    }

    #[test]
    fn mistakes_have_their_line_and_what_would_be_right() {
        for (rest, said) in [
            ("look = \"nobody\"", "f:9:8: `look`: unknown word \"nobody\"; one of `anyone` or `signed-in`"),
            ("tls = \"on\"", "f:9:7: `tls`: unknown word \"on\"; `off`, `self-signed`, or { certificate"),
            ("tls = true", "f:9:7: `tls`:"),
            ("tls = { certificate = \"/a.pem\" }", "f:9:7: `tls`: tls has no `key`"),
            ("tls = { certificate = \"a.pem\", key = \"/k\" }", "\"a.pem\" is not an absolute path"),
            (
                "tls = { cert = \"/a.pem\", key = \"/k\" }",
                "f:9:9: `tls`: `cert`: unknown key in tls; one of `certificate` or `key`",
            ),
            ("password = \"x\"", "f:9:1: `password`: unknown key in [web]"),
        ] {
            let error = parsed(rest).unwrap_err();
            assert!(error.contains(said), "{rest}: {error}");
        }
    }

    #[test]
    fn files_of_a_certificate_must_be_there_and_the_key_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("web.pem"), folder.path().join("web.key"));
        let files = format!("{{ certificate = \"{}\", key = \"{}\" }}", certificate.display(), key.display());
        let text = text_with(&format!("[web]\nlisten = \"10.0.0.1:80\"\ntls = {files}"));
        let said = |part: &str| {
            let error = config::check(path::Path::new("f"), &text).unwrap_err().to_string();
            assert!(error.starts_with("f:9:") && error.contains(part), "{error}");
        };
        said("web.pem: ");
        fs::write(&certificate, "").unwrap();
        fs::write(&key, "").unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        said("chmod 600");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(config::check(path::Path::new("f"), &text).is_ok());
    }
}
