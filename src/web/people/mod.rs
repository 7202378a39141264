//! Who may do what: users with their roles, sessions of browsers, and tokens of scripts, in `state_dir/people.db`.
//!
//! Theory of operation: [`Store`] is the file, and nothing else remembers: who is removed there, by the pages or by
//! `potato user`, is nobody from the next request on. Of passwords it has a slow hash ([`password`]), of sessions and tokens a
//! fast one ([`secret`]), so whoever reads the file cannot sign in with it. While there is no user at all it has a code in
//! plain words, which is printed on the console and makes the first one who knows it an admin.

pub mod password;
pub mod secret;

mod name;
mod report;
mod role;
mod schema;
mod sessions;
mod store;
#[cfg(test)]
mod tests;
mod tokens;
mod words;

pub use name::{Name, NameError};
pub use report::{TokenReport, TokensReport, UserReport, UsersReport};
pub use role::Role;
pub use sessions::{Holder, Use};
pub use store::{PeopleError, Store, User};
pub use tokens::Token;
pub use words::{Deed, Word};
