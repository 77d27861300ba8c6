//! `vocable prepare`: recordings as they are found → a prepared folder.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use vocable_data::readers::{Prepared, fsdd, jsonl};
use vocable_data::{DataError, Split};

use crate::progress::Console;

/// Where recordings come from.
#[derive(Subcommand)]
pub enum Source {
    /// The Free Spoken Digit Dataset: digits of one voice joined into strings of 2 to 4 seconds.
    Fsdd(Fsdd),
    /// A JSONL manifest of WAV, FLAC or Ogg files of any rate, mono or stereo.
    Jsonl(Jsonl),
}

/// Options of `prepare fsdd`.
#[derive(Args)]
pub struct Fsdd {
    /// The data set's folder.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Voices kept for `test-other`, separated by commas, or `none`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_values_t = fsdd::HELD_OUT.map(String::from))]
    held_out: Vec<String>,
    /// Training strings per voice; validation has a tenth, each test split a fifth of it.
    #[arg(long, value_name = "N", default_value_t = fsdd::Settings::default().strings)]
    strings: usize,
    /// Which digits, takes and pauses.
    #[arg(long, value_name = "N", default_value_t = fsdd::Settings::default().seed)]
    seed: u64,
    /// Leave out unusable recordings instead of stopping.
    #[arg(long)]
    skip_bad: bool,
}

/// Options of `prepare jsonl`.
#[derive(Args)]
pub struct Jsonl {
    /// The manifest of the recordings.
    #[arg(long, value_name = "MANIFEST")]
    from: PathBuf,
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Leave out unusable recordings instead of stopping.
    #[arg(long)]
    skip_bad: bool,
}

/// Prepares, reports and says how the program ends.
pub fn run(source: Source) -> ExitCode {
    let progress = Console::default();
    let result = match source {
        Source::Fsdd(Fsdd { from, to, held_out, strings, seed, skip_bad }) => {
            let held_out = if held_out == ["none"] { Vec::new() } else { held_out };
            fsdd::prepare(&from, &to, &fsdd::Settings { held_out, strings, seed, skip_bad }, &progress)
        }
        Source::Jsonl(Jsonl { from, to, skip_bad }) => jsonl::prepare(&from, &to, skip_bad, &progress),
    };
    progress.finish();
    match result {
        Ok(prepared) => {
            report(&prepared);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                DataError::BadFiles(_) => {
                    eprintln!("repair them, or leave them out with --skip-bad");
                    ExitCode::from(1)
                }
                DataError::Audio(_) => ExitCode::from(1),
                _ => ExitCode::from(2),
            }
        }
    }
}

/// What there is now, split by split.
fn report(prepared: &Prepared) {
    let Prepared { manifest, skipped, kept } = prepared;
    for file in skipped {
        eprintln!("skipped {file}");
    }
    println!("{:<10}  {:>10}  {:>7}  speakers", "split", "utterances", "minutes");
    for split in Split::ALL {
        let utterances = manifest.split(split);
        let minutes = utterances.iter().map(|&index| manifest.utterances[index].seconds).sum::<f64>() / 60.0;
        println!("{split:<10}  {:>10}  {minutes:>7.1}  {}", utterances.len(), manifest.speakers(split).join(" "));
    }
    println!("{} ({kept} recordings kept, {} files skipped)", manifest.path.display(), skipped.len());
}
