//! Events in words: one line each, the same for whoever reads them, on a terminal or in a message.

use super::report::EventReport;
use super::thousands;

impl EventReport {
    /// What has happened, in a line; of an event of another version as much as is understood.
    #[must_use]
    pub fn text(&self) -> String {
        let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        let (uplink, from, to) = (of(&self.uplink), of(&self.from), of(&self.to));
        let what = match self.event.as_str() {
            "router-started" => format!("router {to} started"),
            "router-stopped" => "router stopped".to_owned(),
            "uplink-changed" => format!("{uplink}: {from} -> {to}"),
            "gateway-moved" => format!("{uplink}: gateway moved from {from} to {to}"),
            "address-conflict" => format!("{uplink}: somebody else uses its address {to}"),
            "lease-obtained" => format!("{uplink}: lease of {to} obtained"),
            "lease-ended" => format!("{uplink}: lease of {from} ended"),
            "lease-denied" => format!("{uplink}: server does not give {from}"),
            "lease-refused" => format!("{uplink}: lease of {to} refused"),
            "lease-declined" => format!("{uplink}: lease of {to} declined, somebody uses it"),
            "dhcp-server-silent" => format!("{uplink}: no DHCP server answers"),
            "no-uplink" => "no uplink works".to_owned(),
            "uplink-back" => format!("{uplink} works again"),
            "flows-ended" => format!("flows of {uplink} ended"),
            "host-limited" => return without_controls(&self.limited()),
            "session-failed" => format!("{uplink}: no session"),
            "link-ordered" => format!("link {to} {uplink} ordered"),
            "redial-ordered" => format!("redial of {uplink} ordered"),
            "role-ordered" => format!("role {to} of {uplink} ordered"),
            "line-reserved" => format!("{uplink} reserved for {to}"),
            "line-released" => format!("{uplink} released from {to}"),
            "reservation-refused" => format!("reservation of {uplink} not changed"),
            "reservation-begun" => format!("{uplink} is reserved for {to} from now on"),
            "reservation-ended" => format!("reservation of {uplink} for {to} ended"),
            "reload-ordered" => "configuration ordered to be read again".to_owned(),
            "uplink-added" => format!("{uplink} added"),
            "uplink-removed" => format!("{uplink} removed, {} connections ended", self.count.unwrap_or(0)),
            "uplink-replaced" => format!("{uplink} is a new line, {} connections ended", self.count.unwrap_or(0)),
            "uplink-set" => format!("{uplink} set"),
            "isolated-moved" if self.to.is_none() => format!("{from} is for urgent traffic no more"),
            "isolated-moved" => format!("{to} is for urgent traffic now"),
            "isolated-bulky" => "urgent traffic is bulk".to_owned(),
            "claimed" => "router claimed".to_owned(),
            "signed-in" => "signed in".to_owned(),
            "signed-out" => "signed out".to_owned(),
            "sign-in-failed" => format!("sign-in of {to} failed"),
            "user-added" => format!("user {to} added"),
            "user-changed" => format!("user {to} changed"),
            "user-removed" => format!("user {to} removed"),
            "token-added" => format!("token {to} added"),
            "token-removed" => format!("token {to} removed"),
            "configuration-written" => "configuration written".to_owned(),
            "log-begun" => "event log begun anew".to_owned(),
            "events-lost" => format!("{} events could not be kept", self.count.unwrap_or(0)),
            other => other.to_owned(),
        };
        let cause = self.cause.as_ref().map_or_else(String::new, |cause| format!(": {cause}"));
        let by = self.by.as_ref().map_or_else(String::new, |by| format!(" (by {by})"));
        without_controls(&format!("{what}{cause}{by}"))
    }

    /// Of a host that has as much as one host may have.
    fn limited(&self) -> String {
        let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "?".to_owned());
        let refused = thousands(self.count.unwrap_or(0));
        format!("{} {}: {refused} connections refused", of(&self.by), of(&self.cause))
    }
}

/// What others have said is not to speak to a terminal.
fn without_controls(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
