//! Writes the man pages of all commands and the completions for bash, zsh and fish: `cargo run --example manual -- DIRECTORY`.
//!
//! An example, and not a command of the program's: what it is made with stays out of the router.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

use clap_complete::Shell;

fn main() -> ExitCode {
    let Some(directory) = env::args_os().nth(1) else {
        eprintln!("usage: manual DIRECTORY");
        return ExitCode::from(2);
    };
    match write(&PathBuf::from(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("writing the manual: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &std::path::Path) -> io::Result<()> {
    let man = directory.join("man");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(potato::cli::command(), man)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut potato::cli::command(), "potato", directory)?;
    }
    Ok(())
}
