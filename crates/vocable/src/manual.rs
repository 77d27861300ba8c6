//! `vocable man` and `vocable completions`: the command line, written down.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::session::{Ending, Unusable, can_be_folder, say_bytes};

/// Options of `man`.
#[derive(Args)]
pub struct Man {
    /// The folder; `man -l DIR/vocable.1` shows a page.
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// Options of `completions`.
#[derive(Args)]
pub struct Completions {
    /// The shell.
    shell: Shell,
}

/// Writes the pages.
pub fn man<C: CommandFactory>(options: &Man) -> Ending {
    can_be_folder(&options.to)?;
    let failed = |error: std::io::Error| Unusable(format!("{}: {error}", options.to.display()));
    std::fs::create_dir_all(&options.to).map_err(failed)?;
    clap_mangen::generate_to(C::command(), &options.to).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the script.
pub fn completions<C: CommandFactory>(options: &Completions) -> Ending {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut command, name, &mut script);
    say_bytes(&script);
    Ok(ExitCode::SUCCESS)
}
