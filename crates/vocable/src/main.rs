//! The command line for using models and preparing recordings.
//!
//! Exit codes: 0 done; 1 recordings are unusable or a file cannot be written; 2 the command or a manifest is wrong.

mod prepare;
mod progress;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Speech and text with one model.
#[derive(Parser)]
#[command(name = "vocable", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a folder of 16 kHz mono recordings with a manifest out of recordings as they are.
    ///
    /// All unusable files are listed by name and reason; an interrupted preparation continues where it was.
    #[command(subcommand)]
    Prepare(prepare::Source),
}

fn main() -> ExitCode {
    let Command::Prepare(source) = Cli::parse().command;
    prepare::run(source)
}
