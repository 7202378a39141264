//! The command line.

/// Runs the program; its exit status is the process's.
#[must_use]
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
