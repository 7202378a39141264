//! Users and tokens as they are told to people and programs.

use serde::Serialize;
use utoipa::ToSchema;

use super::role::Role;
use super::store::User;
use super::tokens::Token;
use crate::daemon::rfc3339;

/// Who may sign in.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsersReport {
    /// All of them, by name.
    pub users: Vec<UserReport>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
pub struct UserReport {
    /// Who.
    pub name: String,
    /// What he may do.
    pub role: Role,
    /// When he last did something by the pages, as RFC 3339 writes it, in UTC.
    pub last_seen: Option<String>,
}

/// What scripts may come with.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokensReport {
    /// All of them, by number.
    pub tokens: Vec<TokenReport>,
}

/// One of them, without what opens the door.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenReport {
    /// Its number.
    pub id: i64,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// Since when there is one, as RFC 3339 writes it, in UTC.
    pub created: String,
    /// When somebody last came with it, to the minute.
    pub last_used: Option<String>,
}

impl From<Vec<User>> for UsersReport {
    fn from(users: Vec<User>) -> Self {
        Self { users: users.into_iter().map(Into::into).collect() }
    }
}

impl From<User> for UserReport {
    fn from(user: User) -> Self {
        Self { name: user.name, role: user.role, last_seen: user.last_seen.map(time) }
    }
}

impl From<Vec<Token>> for TokensReport {
    fn from(tokens: Vec<Token>) -> Self {
        Self { tokens: tokens.into_iter().map(Into::into).collect() }
    }
}

impl From<Token> for TokenReport {
    fn from(token: Token) -> Self {
        let last_used = token.last_used.map(time);
        Self { id: token.id, name: token.name, role: token.role, created: time(token.created), last_used }
    }
}

fn time(seconds: u64) -> String {
    rfc3339(seconds.saturating_mul(1_000))
}
