//! `vocable man` and `vocable completions`: the command line, written down.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::session::{Ending, Unusable};

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
    let failed = |error: std::io::Error| Unusable(format!("{}: {error}", options.to.display()));
    std::fs::create_dir_all(&options.to).map_err(failed)?;
    clap_mangen::generate_to(C::command(), &options.to).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the script.
pub fn completions<C: CommandFactory>(options: &Completions) -> Ending {
    let mut command = C::command();
    let name = command.get_name().to_owned();
    clap_complete::generate(options.shell, &mut command, name, &mut std::io::stdout());
    Ok(ExitCode::SUCCESS)
}
