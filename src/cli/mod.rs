//! The command line: what can be asked of the program, and how the answers look to people and to programs.
//!
//! Answers go to standard output, errors and warnings to standard error. A reader that goes away (`potato flows | head`)
//! ends the program in peace. The exit status is 0 when all went well, 1 when something failed, 2 when the
//! configuration or the command itself is wrong.

mod check;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ConfigError;

/// Something failed while it ran.
const EXIT_FAILED: u8 = 1;
/// The configuration or the command line is wrong.
const EXIT_WRONG: u8 = 2;

/// Potato, a multi-WAN router: gives every new connection of a LAN one of several internet lines.
#[derive(Debug, Parser)]
#[command(name = "potato", version, propagate_version = true, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check a configuration file; touches nothing on the machine
    #[command(after_help = "Example:\n  potato check /etc/potato/potato.toml")]
    Check {
        /// The configuration file
        #[arg(value_name = "FILE")]
        config: PathBuf,
    },
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("standard output: {0}")]
    Output(io::Error),
}

impl CommandError {
    fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_WRONG,
            // The reader has seen enough.
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Output(_) => EXIT_FAILED,
        }
    }
}

/// Runs the program; its exit status is the process's.
#[must_use]
pub fn main() -> ExitCode {
    // clap itself exits with 2 on a wrong command line and with 0 after --help.
    let arguments = Arguments::parse();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let status = error.exit_status();
            if status != 0 {
                complain(&error.to_string());
            }
            ExitCode::from(status)
        }
    }
}

fn run(command: Command) -> Result<(), CommandError> {
    match command {
        Command::Check { config } => check::run(&config),
    }
}

/// Writes a whole answer to standard output.
fn answer(text: &str) -> Result<(), CommandError> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(CommandError::Output)
}

/// Says something on standard error; if nobody can hear it, nothing is to be done about that.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
