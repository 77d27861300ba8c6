//! `vocable prepare`: recordings as they are found → a prepared folder.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Subcommand};
use vocable_data::readers::{
    self, Lenience, Listing, Prepared, arctic, fairseq, fsdd, jsonl, kaldi, librispeech, libritts, ljspeech, mustc,
    noise, voxceleb, wham,
};
use vocable_data::{DataError, Language, Split};

use crate::progress::Console;
use crate::session::say;

/// Where recordings come from.
#[derive(Subcommand)]
pub enum Source {
    /// The Free Spoken Digit Dataset: digits of one voice joined into strings of 2 to 4 seconds.
    Fsdd(Fsdd),
    /// A JSONL manifest of WAV, FLAC or Ogg files of any rate, mono or stereo.
    Jsonl(Jsonl),
    /// LibriSpeech: a thousand hours of audio books with transcripts (openslr.org/12).
    Librispeech(Libri),
    /// LibriSpeech's text for language models, librispeech-lm-norm.txt.gz (openslr.org/11).
    LibrispeechLm(Text),
    /// LJSpeech: 24 hours of one voice (keithito.com/LJ-Speech-Dataset).
    Ljspeech(Folders),
    /// CMU Arctic: the same sentences in several voices, for conversion (festvox.org/cmu_arctic).
    Arctic(Arctic),
    /// LibriTTS: LibriSpeech's books cut at sentences, for synthesis (openslr.org/60).
    Libritts(Libri),
    /// VoxCeleb1: 1,251 celebrities without transcripts, for identification; needs iden_split.txt beside wav/.
    Voxceleb(Folders),
    /// MuST-C: TED talks with their translations (en-de or en-fr).
    Mustc(Mustc),
    /// WHAM!: speech with and without noise, as its scripts mix it (wav16k/max) or mixed here; or its noise alone.
    Wham(Wham),
    /// Noise to mix speech with: the recordings in a folder and in the folders in it.
    Noise(Noise),
    /// Data folders of Kaldi: wav.scp, utt2spk, text, segments.
    Kaldi(Kaldi),
    /// Manifests of fairseq: NAME.tsv, and beside it NAME.wrd, .ltr, .txt, .km and dict.km.txt.
    Fairseq(Fairseq),
    /// Parquet files with audio bytes, as Hugging Face's data sets have them.
    #[cfg(feature = "parquet")]
    Parquet(Parquet),
}

/// Where prepared recordings go, and what is put up with.
#[derive(Args)]
pub struct Target {
    /// The folder to make.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Leave out unusable recordings instead of stopping.
    #[arg(long)]
    skip_bad: bool,
}

impl Target {
    fn lenience(&self) -> Lenience {
        Lenience { skip_bad: self.skip_bad, partial: false }
    }
}

/// A published corpus, and where it goes.
#[derive(Args)]
pub struct Folders {
    /// The corpus's folder.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    target: Target,
    /// Take a corpus that is not of the published size.
    #[arg(long)]
    partial: bool,
}

impl Folders {
    fn lenience(&self) -> Lenience {
        Lenience { partial: self.partial, ..self.target.lenience() }
    }
}

/// Options of `prepare librispeech` and `prepare libritts`.
#[derive(Args)]
pub struct Libri {
    #[command(flatten)]
    folders: Folders,
    /// The sets to take, separated by commas; all that are there, if none are named.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    sets: Vec<String>,
}

/// Options of `prepare librispeech-lm`.
#[derive(Args)]
pub struct Text {
    /// The text, packed or not.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The folder to make, with text.txt in it.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Take a text that has not the published number of lines.
    #[arg(long)]
    partial: bool,
}

/// Options of `prepare fsdd`.
#[derive(Args)]
pub struct Fsdd {
    /// The data set's folder.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    target: Target,
    /// Voices kept for `test-other`, separated by commas, or `none`.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_values_t = fsdd::HELD_OUT.map(String::from))]
    held_out: Vec<String>,
    /// Training strings per voice; validation has a tenth, each test split a fifth of it.
    #[arg(long, value_name = "N", default_value_t = fsdd::Settings::default().strings)]
    strings: usize,
    /// Which digits, takes and pauses.
    #[arg(long, value_name = "N", default_value_t = fsdd::Settings::default().seed)]
    seed: u64,
}

/// Options of `prepare jsonl`.
#[derive(Args)]
pub struct Jsonl {
    /// The manifest of the recordings.
    #[arg(long, value_name = "MANIFEST")]
    from: PathBuf,
    #[command(flatten)]
    target: Target,
}

/// Options of `prepare arctic`.
#[derive(Args)]
pub struct Arctic {
    #[command(flatten)]
    folders: Folders,
    /// The voices to take, separated by commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_values_t = arctic::VOICES.map(String::from))]
    voices: Vec<String>,
}

/// Options of `prepare wham`.
#[derive(Args)]
pub struct Wham {
    #[command(flatten)]
    folders: Folders,
    /// Mix the noise in wham_noise with WSJ0: the folder that has wsj0/, as WAV files.
    #[arg(long, value_name = "DIR", requires = "lists")]
    wsj0: Option<PathBuf>,
    /// The folder with mix_2_spk_filenames_{tr,cv,tt}.csv, data/ of the official scripts.
    #[arg(long, value_name = "DIR", requires = "wsj0")]
    lists: Option<PathBuf>,
}

/// Options of `prepare noise`.
#[derive(Args)]
pub struct Noise {
    /// The folder; recordings below folders called train, valid and test play these parts, of others a tenth is held out for each.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    target: Target,
}

/// Options of `prepare mustc`.
#[derive(Args)]
pub struct Mustc {
    #[command(flatten)]
    folders: Folders,
    /// What the talks are translated into.
    #[arg(long, value_name = "de|fr", value_parser = Language::from_str)]
    language: Language,
}

/// Options of `prepare kaldi`.
#[derive(Args)]
pub struct Kaldi {
    /// Data folders, each with its split: train=data/train valid=data/dev test-clean=data/test.
    #[arg(long, value_name = "SPLIT=DIR", num_args = 1.., required = true, value_parser = part)]
    from: Vec<(Split, PathBuf)>,
    #[command(flatten)]
    target: Target,
    /// The folder that relative paths in wav.scp are relative to.
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// Options of `prepare fairseq`.
#[derive(Args)]
pub struct Fairseq {
    /// Manifests, each with its split: train=train.tsv valid=valid.tsv.
    #[arg(long, value_name = "SPLIT=TSV", num_args = 1.., required = true, value_parser = part)]
    from: Vec<(Split, PathBuf)>,
    #[command(flatten)]
    target: Target,
}

/// Options of `prepare parquet`.
#[cfg(feature = "parquet")]
#[derive(Args)]
pub struct Parquet {
    /// Files, folders of files or beginnings of files' names, each with its split: train=data/train valid=data/validation.
    #[arg(long, value_name = "SPLIT=PATH", num_args = 1.., required = true, value_parser = part)]
    from: Vec<(Split, PathBuf)>,
    #[command(flatten)]
    target: Target,
    /// The column of audio files: groups of bytes and path, or bytes.
    #[arg(long, value_name = "COLUMN", default_value = "audio")]
    audio: String,
    /// The column of transcripts.
    #[arg(long, value_name = "COLUMN", default_value = "text")]
    text: String,
    /// The column of speakers.
    #[arg(long, value_name = "COLUMN", default_value = "speaker_id")]
    speaker: String,
    /// The column of the utterances' names.
    #[arg(long, value_name = "COLUMN", default_value = "id")]
    id: String,
}

/// A split and what is to be it, `train=PATH`.
fn part(text: &str) -> Result<(Split, PathBuf), String> {
    let (split, path) = text.split_once('=').ok_or("expected SPLIT=PATH, such as train=data/train")?;
    Ok((split.parse()?, path.into()))
}

/// Prepares, reports and says how the program ends.
pub fn run(source: Source) -> ExitCode {
    let progress = Console::default();
    let result = prepare(source, &progress);
    progress.finish();
    match result {
        Ok(done) => {
            done.report();
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                DataError::BadFiles(_) => {
                    eprintln!("repair them, or leave them out with --skip-bad");
                    ExitCode::from(1)
                }
                DataError::Incomplete(_) => {
                    eprintln!("get the rest of it, or take what is there with --partial");
                    ExitCode::from(1)
                }
                DataError::Audio(_) => ExitCode::from(1),
                _ => ExitCode::from(2),
            }
        }
    }
}

fn prepare(source: Source, progress: &Console) -> Result<Done, DataError> {
    let listed = |reader, folders: &Folders, listing: Listing| {
        readers::prepare(reader, &folders.from, listing, &folders.target.to, folders.lenience(), progress)
    };
    let prepared = match source {
        Source::Fsdd(Fsdd { from, target, held_out, strings, seed }) => {
            let held_out = if held_out == ["none"] { Vec::new() } else { held_out };
            let settings = fsdd::Settings { held_out, strings, seed, skip_bad: target.skip_bad };
            fsdd::prepare(&from, &target.to, &settings, progress)?
        }
        Source::Jsonl(Jsonl { from, target }) => jsonl::prepare(&from, &target.to, target.skip_bad, progress)?,
        Source::Librispeech(Libri { folders, sets }) => {
            listed("librispeech", &folders, librispeech::list(&folders.from, &sets)?)?
        }
        Source::LibrispeechLm(Text { from, to, partial }) => {
            let text = librispeech::prepare_text(&from, &to, partial, progress)?;
            return Ok(Done::Text(to.join(librispeech::TEXT), text));
        }
        Source::Ljspeech(folders) => listed("ljspeech", &folders, ljspeech::list(&folders.from)?)?,
        Source::Arctic(Arctic { folders, voices }) => {
            listed("arctic", &folders, arctic::list(&folders.from, &voices)?)?
        }
        Source::Libritts(Libri { folders, sets }) => {
            listed("libritts", &folders, libritts::list(&folders.from, &sets)?)?
        }
        Source::Voxceleb(folders) => listed("voxceleb", &folders, voxceleb::list(&folders.from)?)?,
        Source::Mustc(Mustc { folders, language }) => listed("mustc", &folders, mustc::list(&folders.from, language)?)?,
        Source::Wham(Wham { folders, wsj0, lists }) => {
            let mixing = wsj0.zip(lists).map(|(wsj0, lists)| wham::Mixing { wsj0, lists });
            let all =
                wham::prepare_all(&folders.from, mixing.as_ref(), &folders.target.to, folders.lenience(), progress)?;
            return Ok(Done::Recordings(all));
        }
        Source::Noise(Noise { from, target }) => noise::prepare(&from, &target.to, target.lenience(), progress)?,
        Source::Kaldi(Kaldi { from, target, root }) => {
            let listing = kaldi::list(&from, &root)?;
            readers::prepare("kaldi", &from[0].1, listing, &target.to, target.lenience(), progress)?
        }
        Source::Fairseq(Fairseq { from, target }) => {
            fairseq::prepare_all(&from, &target.to, target.lenience(), progress)?
        }
        #[cfg(feature = "parquet")]
        Source::Parquet(Parquet { from, target, audio, text, speaker, id }) => {
            let columns = readers::parquet::Columns { audio, text: Some(text), speaker: Some(speaker), id: Some(id) };
            readers::parquet::prepare_all(&from, &columns, &target.to, target.lenience(), progress)?
        }
    };
    Ok(Done::Recordings(vec![prepared]))
}

/// What there is now.
enum Done {
    Recordings(Vec<Prepared>),
    Text(PathBuf, librispeech::PreparedText),
}

impl Done {
    fn report(&self) {
        match self {
            Self::Recordings(prepared) => prepared.iter().for_each(report),
            Self::Text(path, text) => {
                text.missing.iter().for_each(|line| eprintln!("taken as it is: {line}"));
                say(format_args!("{} ({} lines)", path.display(), text.lines));
            }
        }
    }
}

/// Speakers that are listed by name.
const NAMED: usize = 12;

/// Recordings, split by split.
fn report(prepared: &Prepared) {
    let Prepared { manifest, skipped, kept, missing } = prepared;
    missing.iter().for_each(|line| eprintln!("taken as it is: {line}"));
    for file in skipped {
        eprintln!("skipped {file}");
    }
    say(format_args!("{:<10}  {:>10}  {:>7}  speakers", "split", "utterances", "minutes"));
    for split in Split::ALL {
        let utterances = manifest.split(split);
        // `sum` of nothing would be -0.
        let seconds = utterances.iter().fold(0.0, |sum, &index| sum + manifest.utterances[index].seconds);
        let minutes = seconds / 60.0;
        let speakers = manifest.speakers(split);
        let speakers = if speakers.len() > NAMED { speakers.len().to_string() } else { speakers.join(" ") };
        say(format_args!("{split:<10}  {:>10}  {minutes:>7.1}  {speakers}", utterances.len()));
    }
    say(format_args!("{} ({kept} recordings kept, {} files skipped)", manifest.path.display(), skipped.len()));
}
