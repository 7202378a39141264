//! What may be done by whom. What is not named here is for admins if it changes something, and for viewers if it does not.

use axum::http::Method;

use super::people::Role;

/// What somebody must be for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// A file of the page: the same for everybody.
    Page,
    /// Nothing; who he is matters all the same.
    Nothing,
    /// Somebody who may look: whoever comes, if the configuration says so.
    Look,
    /// Somebody with this role.
    Role(Role),
}

/// What a request needs.
pub(super) fn of(method: &Method, path: &str) -> Need {
    if path != "/live" && !path.starts_with("/v1/") && path != "/v1" {
        return Need::Page;
    }
    if *method == Method::GET || *method == Method::HEAD { to_look(path) } else { to_change(path) }
}

fn to_look(path: &str) -> Need {
    match path {
        "/v1/welcome" | "/v1/session" => Need::Nothing,
        "/live" | "/v1/status" | "/v1/hosts" | "/v1/flows" | "/v1/events" | "/v1/history" => Need::Look,
        _ if ["/v1/users", "/v1/tokens", "/v1/config"].iter().any(|secret| path.starts_with(secret)) => {
            Need::Role(Role::Admin)
        }
        _ => Need::Role(Role::Viewer),
    }
}

fn to_change(path: &str) -> Need {
    match path {
        "/v1/claim" | "/v1/session" => Need::Nothing,
        "/v1/sessions" | "/v1/password" => Need::Role(Role::Viewer),
        "/v1/link" | "/v1/redial" | "/v1/role" | "/v1/reserve" | "/v1/release" | "/v1/notify/test" => {
            Need::Role(Role::Operator)
        }
        _ => Need::Role(Role::Admin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_look_operators_switch_and_admins_do_the_rest() {
        let viewer = Need::Role(Role::Viewer);
        let (operator, admin) = (Need::Role(Role::Operator), Need::Role(Role::Admin));
        for (method, path, need) in [
            (Method::GET, "/", Need::Page),
            (Method::GET, "/potato.js", Need::Page),
            (Method::GET, "/v1/welcome", Need::Nothing),
            (Method::POST, "/v1/session", Need::Nothing),
            (Method::DELETE, "/v1/session", Need::Nothing),
            (Method::GET, "/live", Need::Look),
            (Method::HEAD, "/v1/status", Need::Look),
            (Method::GET, "/v1/why", viewer),
            (Method::GET, "/v1/notify", viewer),
            (Method::POST, "/v1/password", viewer),
            (Method::GET, "/v1/users", admin),
            (Method::GET, "/v1/users/anna", admin),
            (Method::GET, "/v1/tokens", admin),
            (Method::GET, "/v1/config", admin),
            (Method::POST, "/v1/link", operator),
            (Method::POST, "/v1/redial", operator),
            (Method::POST, "/v1/role", operator),
            (Method::POST, "/v1/release", operator),
            (Method::POST, "/v1/reload", admin),
            (Method::POST, "/v1/users", admin),
            (Method::DELETE, "/v1/tokens/3", admin),
            (Method::POST, "/v1/config/check", admin),
            (Method::POST, "/v1/of-tomorrow", admin),
            (Method::POST, "/v1//link", admin),
            (Method::POST, "/live", admin),
            (Method::from_bytes(b"BREW").unwrap(), "/v1/status", admin),
        ] {
            assert_eq!(of(&method, path), need, "{method} {path}");
        }
    }
}
