//! `potato user` and `potato token`: who may sign in at the pages, and what scripts may come with. They work on the file itself,
//! whether the router runs or not; a running one heeds it at once.

use std::io::{self, BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::crossterm::terminal::{disable_raw_mode, enable_raw_mode};

use super::table::{Align, Table};
use super::{CommandError, Format, answer, complain, in_json};
use crate::config::{self, ConfigError};
use crate::sys::{clock, process};
use crate::web::people::password::Password;
use crate::web::people::secret::Secret;
use crate::web::people::{Deed, Name, PeopleError, Role, Store, TokensReport, UsersReport, Word};

/// Where the users' file is.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct StatePlace {
    /// The router's state directory
    #[arg(long, value_name = "DIRECTORY")]
    state_dir: Option<PathBuf>,
    /// The router's configuration file, which names its state directory
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StatePlace {
    fn state_dir(self) -> Result<PathBuf, ConfigError> {
        let usual = Path::new(config::DEFAULT_PATH);
        match (self.state_dir, self.config) {
            (Some(directory), _) => Ok(directory),
            (None, Some(path)) => config::load(&path).map(|config| config.router.state_dir),
            (None, None) if usual.exists() => config::load(usual).map(|config| config.router.state_dir),
            (None, None) => Ok(config::DEFAULT_STATE_DIR.into()),
        }
    }
}

/// What is wanted of users.
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add somebody; asks for the password, or takes it from the first line of standard input
    #[command(after_help = "Examples:\n  potato user add anna --role admin\n  potato user add bert < password-file")]
    Add {
        /// The name to sign in with
        #[arg(value_name = "NAME", value_parser = name)]
        name: Name,
        /// What the user may do; the first user is admin if you do not say
        #[arg(long, value_name = "ROLE", value_enum)]
        role: Option<Role>,
        #[command(flatten)]
        place: StatePlace,
    },
    /// List users
    List {
        #[command(flatten)]
        place: StatePlace,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove somebody, and sign him out everywhere
    Remove {
        /// Who
        #[arg(value_name = "NAME", value_parser = name)]
        name: Name,
        #[command(flatten)]
        place: StatePlace,
    },
    /// Give somebody another role
    Role {
        /// Who
        #[arg(value_name = "NAME", value_parser = name)]
        name: Name,
        /// What the user may do from now on
        #[arg(value_name = "ROLE", value_enum)]
        role: Role,
        #[command(flatten)]
        place: StatePlace,
    },
    /// Give somebody another password, and sign him out everywhere
    Password {
        /// Who
        #[arg(value_name = "NAME", value_parser = name)]
        name: Name,
        #[command(flatten)]
        place: StatePlace,
    },
    /// Show the code that makes the first user, by the pages
    ClaimCode {
        #[command(flatten)]
        place: StatePlace,
    },
}

/// What is wanted of tokens.
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token for a script, and show it this once
    #[command(after_help = "Example:\n  potato token add backup --role viewer\n  \
                            curl -H 'Authorization: Bearer potato_...' http://192.168.10.1:8080/v1/status")]
    Add {
        /// What it is for
        #[arg(value_name = "NAME", value_parser = name)]
        name: Name,
        /// What it may do
        #[arg(long, value_name = "ROLE", value_enum, default_value_t = Role::Viewer)]
        role: Role,
        #[command(flatten)]
        place: StatePlace,
    },
    /// List tokens
    List {
        #[command(flatten)]
        place: StatePlace,
        /// As JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Remove a token, by its number or its name
    Remove {
        /// Which
        #[arg(value_name = "TOKEN")]
        token: String,
        #[command(flatten)]
        place: StatePlace,
    },
}

fn name(text: &str) -> Result<Name, String> {
    text.parse().map_err(|wrong: crate::web::people::NameError| wrong.to_string())
}

/// Does something about users.
pub(super) fn user(command: UserCommand) -> Result<(), CommandError> {
    match command {
        UserCommand::Add { name, role, place } => add_user(&name, role, place),
        UserCommand::List { place, json } => list_users(&open(place)?, Format::of(json)),
        UserCommand::Remove { name, place } => {
            let mut store = open(place)?;
            store.remove_user(&name)?;
            leave_word(&store, Deed::UserRemoved, name.as_str(), None);
            answer(&format!("{name} is removed, and signed out everywhere\n"))
        }
        UserCommand::Role { name, role, place } => {
            let mut store = open(place)?;
            let before = store.set_role(&name, role)?;
            leave_word(&store, Deed::UserChanged, name.as_str(), Some(format!("role {before} -> {role}")));
            answer(&format!("{name} is {role}, and was {before}\n"))
        }
        UserCommand::Password { name, place } => {
            let mut store = open(place)?;
            store.role_of(&name)?;
            let hash = new_password(&name)?.hash().map_err(PeopleError::from)?;
            store.set_password(&name, &hash)?;
            leave_word(&store, Deed::UserChanged, name.as_str(), Some("another password".to_owned()));
            answer(&format!("{name} has another password, and is signed out everywhere\n"))
        }
        UserCommand::ClaimCode { place } => match open(place)?.claim_code()? {
            Some(code) => answer(&format!("{code}\n")),
            None => Err(PeopleError::Claimed.into()),
        },
    }
}

/// Does something about tokens.
pub(super) fn token(command: TokenCommand) -> Result<(), CommandError> {
    match command {
        TokenCommand::Add { name, role, place } => {
            let mut store = open(place)?;
            let secret = Secret::for_token().map_err(PeopleError::from)?;
            store.add_token(&name, role, &secret.digest(), clock::wall().as_secs())?;
            leave_word(&store, Deed::TokenAdded, name.as_str(), Some(format!("role {role}")));
            complain(&format!("token {name} may do what a {role} may; it is not shown again:"));
            answer(&format!("{}\n", secret.reveal()))
        }
        TokenCommand::List { place, json } => list_tokens(&open(place)?, Format::of(json)),
        TokenCommand::Remove { token, place } => {
            let mut store = open(place)?;
            let name = store.remove_token(&token)?;
            leave_word(&store, Deed::TokenRemoved, &name, None);
            answer(&format!("token {name} is removed\n"))
        }
    }
}

fn open(place: StatePlace) -> Result<Store, CommandError> {
    Ok(Store::open(&place.state_dir()?)?)
}

fn add_user(name: &Name, role: Option<Role>, place: StatePlace) -> Result<(), CommandError> {
    let mut store = open(place)?;
    let usual = if store.is_claimed()? { Role::Viewer } else { Role::Admin };
    let role = role.unwrap_or(usual);
    if store.role_of(name).is_ok() {
        return Err(PeopleError::NameTaken(name.clone()).into());
    }
    let hash = new_password(name)?.hash().map_err(PeopleError::from)?;
    store.add_user(name, role, &hash, clock::wall().as_secs())?;
    leave_word(&store, Deed::UserAdded, name.as_str(), Some(format!("role {role}")));
    answer(&format!("{name} may sign in, as {role}\n"))
}

/// Leaves word for the router. What is done is done, whether it hears of it or not.
fn leave_word(store: &Store, deed: Deed, whom: &str, what: Option<String>) {
    let by = format!("uid {}, potato user", process::effective_user());
    if let Err(error) = store.leave_word(&Word { deed, whom: whom.to_owned(), what, by }) {
        complain(&format!("warning: the router will have no event of this: {error}"));
    }
}

fn list_users(store: &Store, format: Format) -> Result<(), CommandError> {
    let report = UsersReport::from(store.users()?);
    if format == Format::Json {
        return answer(&in_json(&report)?);
    }
    let mut table = Table::new(&[("NAME", Align::Left), ("ROLE", Align::Left), ("LAST SEEN", Align::Left)]);
    for user in report.users {
        table.row(vec![user.name, user.role.to_string(), or_never(user.last_seen)]);
    }
    answer(&table.to_string())
}

fn list_tokens(store: &Store, format: Format) -> Result<(), CommandError> {
    let report = TokensReport::from(store.tokens()?);
    if format == Format::Json {
        return answer(&in_json(&report)?);
    }
    let columns = [
        ("ID", Align::Right),
        ("NAME", Align::Left),
        ("ROLE", Align::Left),
        ("CREATED", Align::Left),
        ("LAST USED", Align::Left),
    ];
    let mut table = Table::new(&columns);
    for token in report.tokens {
        let (id, role) = (token.id.to_string(), token.role.to_string());
        table.row(vec![id, token.name, role, token.created, or_never(token.last_used)]);
    }
    answer(&table.to_string())
}

fn or_never(time: Option<String>) -> String {
    time.unwrap_or_else(|| "never".to_owned())
}

/// Asks for a new password: twice at a terminal, else the first line of standard input.
fn new_password(name: &Name) -> Result<Password, CommandError> {
    let typed = if io::stdin().is_terminal() {
        let typed = asked(&format!("Password for {name}: ")).map_err(CommandError::Input)?;
        if asked("The same again: ").map_err(CommandError::Input)? != typed {
            return Err(CommandError::NotTheSame);
        }
        typed
    } else {
        let mut line = String::new();
        io::stdin().lock().read_line(&mut line).map_err(CommandError::Input)?;
        line.trim_end_matches(['\n', '\r']).to_owned()
    };
    Ok(Password::chosen(typed, name).map_err(PeopleError::from)?)
}

/// What somebody types at the terminal, which does not show it.
fn asked(question: &str) -> io::Result<String> {
    eprint!("{question}");
    enable_raw_mode()?;
    let typed = typed();
    disable_raw_mode()?;
    eprintln!();
    typed
}

fn typed() -> io::Result<String> {
    let mut typed = String::new();
    loop {
        let Event::Key(key) = event::read()? else { continue };
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            _ if key.kind == KeyEventKind::Release => {}
            KeyCode::Enter => return Ok(typed),
            KeyCode::Char('c' | 'd') if is_control => return Err(io::ErrorKind::Interrupted.into()),
            KeyCode::Char('u') if is_control => typed.clear(),
            KeyCode::Char(letter) if !is_control => typed.push(letter),
            KeyCode::Backspace => {
                typed.pop();
            }
            _ => {}
        }
    }
}
