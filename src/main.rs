//! The `potato` program: parse the arguments, call [`potato::cli`].

fn main() -> std::process::ExitCode {
    potato::cli::main()
}
