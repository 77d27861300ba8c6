//! The command line for using models and preparing recordings.
//!
//! Exit codes: 0 done; 1 some inputs failed (recordings are unusable, a file cannot be written), each named; 2 the
//! command, a model or a manifest is wrong.

mod convert;
mod features;
mod identify;
mod inspect;
mod manual;
mod model;
mod prepare;
mod progress;
mod publish;
mod score;
mod sentences;
mod session;
mod speak;
mod speakers;
mod speech;
mod transcribe;
mod vocab;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use session::{Ending, Unusable};

/// Speech and text with one model.
#[derive(Parser)]
#[command(name = "vocable", version)]
struct Cli {
    /// Threads that compute; as many as the machine has by default. No result depends on their number.
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write down what is said in recordings.
    Transcribe(transcribe::Transcribe),
    /// Write down what is said in recordings in the language that the model writes.
    Translate(transcribe::Transcribe),
    /// Say a text.
    Speak(speak::Speak),
    /// Say what is said in recordings in another voice.
    Convert(convert::Convert),
    /// Say what is said in recordings without their noise.
    Enhance(convert::Convert),
    /// Name who speaks in recordings.
    Identify(identify::Identify),
    /// Make vectors of voices, or train what makes them.
    #[command(subcommand)]
    Speakers(speakers::Speakers),
    /// Compute log-mels, MFCCs, hidden states or cluster labels of recordings.
    Features(features::Features),
    /// Score hypotheses against references.
    Score(score::Score),
    /// List the tensors of a checkpoint, with their sizes and what they mean here.
    Inspect(inspect::Inspect),
    /// Make a model folder for transformers, or one file of everything, out of published weights.
    Import(publish::Import),
    /// Make a model folder for transformers, or one file of everything, out of a model folder or a stage of training.
    Export(publish::Export),
    /// Change the characters that a model knows.
    #[command(subcommand)]
    Vocab(vocab::Vocab),
    /// Make a folder of 16 kHz mono recordings with a manifest out of recordings as they are.
    ///
    /// All unusable files are listed by name and reason; an interrupted preparation continues where it was. A program
    /// that is built with `--features parquet` has `parquet`, too: files of Hugging Face's data sets.
    #[command(subcommand)]
    Prepare(prepare::Source),
    /// Write a man page for each command into a folder.
    Man(manual::Man),
    /// Print a script that completes commands and options in a shell.
    Completions(manual::Completions),
}

fn main() -> ExitCode {
    vocable_kernels::keep_memory();
    let Cli { threads, command } = Cli::parse();
    let ending = use_threads(threads).and_then(|()| run(command));
    ending.unwrap_or_else(|Unusable(reason)| {
        eprintln!("error: {reason}");
        ExitCode::from(2)
    })
}

fn use_threads(threads: Option<u16>) -> Result<(), Unusable> {
    let Some(threads) = threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.into()).build_global();
    pool.map_err(|error| Unusable(format!("--threads {threads}: {error}")))
}

fn run(command: Command) -> Ending {
    match command {
        Command::Transcribe(options) | Command::Translate(options) => transcribe::run(&options),
        Command::Speak(options) => speak::run(&options),
        Command::Convert(options) | Command::Enhance(options) => convert::run(&options),
        Command::Identify(options) => identify::run(&options),
        Command::Speakers(what) => speakers::run(&what),
        Command::Features(options) => features::run(&options),
        Command::Score(options) => score::run(&options),
        Command::Inspect(options) => inspect::run(&options),
        Command::Import(options) => publish::import(&options),
        Command::Export(options) => publish::export(&options),
        Command::Vocab(options) => vocab::run(&options),
        Command::Prepare(source) => Ok(prepare::run(source)),
        Command::Man(options) => manual::man::<Cli>(&options),
        Command::Completions(options) => manual::completions::<Cli>(&options),
    }
}
