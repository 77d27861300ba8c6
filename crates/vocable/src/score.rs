//! `vocable score`: how near hypotheses are to references.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::Path;

use clap::{Args, ValueEnum};
use serde_json::json;
use vocable_audio::{Frames, LogMel, distance_cepstrum};
use vocable_metrics::{
    BleuCounts, Bootstrap, EditCounts, Interval, aligned_errors, character_errors, log_mel_cepstral_distance,
    word_errors,
};
use vocable_random::Key;
use vocable_text::normalise;

use crate::session::{Ending, Input, Recordings, Reporter, Unusable, standard_text};

/// Options of `score`.
#[derive(Args)]
pub struct Score {
    /// What to compute.
    metric: Metric,
    /// References: a text with one on each line, - for standard input; for `mcd` a recording, folder or glob.
    reference: String,
    /// Hypotheses in the same order; of several recordings those with the references' names, in any format.
    hypothesis: String,
    /// Lower-case texts and drop their punctuation first.
    #[arg(long)]
    normalise: bool,
    /// Of word errors, print the lines that have any, aligned word by word (S replaced, D missing, I superfluous).
    #[arg(long)]
    aligned: bool,
    /// Print an object: metric, value, low, high (95 %, resampled), n, and of error rates the edits; with
    /// --aligned also aligned, the text that is printed otherwise.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Metric {
    /// Word error rate in percent
    Wer,
    /// Character error rate in percent
    Cer,
    /// Corpus BLEU with 13a's tokens, as sacrebleu computes it
    Bleu,
    /// Mel-cepstral distance in dB along the best alignment; not comparable to WORLD's
    Mcd,
    /// Lines that are equal in percent
    Accuracy,
}

/// A number over all of a test set.
struct Figure {
    value: Option<f64>,
    interval: Option<Interval>,
    n: usize,
    edits: Option<EditCounts>,
    aligned: Option<String>,
    unit: &'static str,
}

/// Scores and reports.
pub fn run(options: &Score) -> Ending {
    if options.aligned && options.metric != Metric::Wer {
        return Err(Unusable("--aligned is for word errors, wer".into()));
    }
    if options.normalise && options.metric == Metric::Mcd {
        return Err(Unusable("--normalise is for texts, not for mcd".into()));
    }
    let figure = match options.metric {
        Metric::Mcd => distances(options)?,
        Metric::Wer => edits(options, word_errors)?,
        Metric::Cer => edits(options, character_errors)?,
        Metric::Bleu => bleu(options)?,
        Metric::Accuracy => equal(options)?,
    };
    let metric = options.metric.to_possible_value().expect("no metric is hidden").get_name().to_owned();
    let Figure { value, interval, n, edits, aligned, unit } = figure;
    let mut object = json!({
        "metric": metric, "value": value, "low": interval.map(|interval| interval.low),
        "high": interval.map(|interval| interval.high), "n": n,
    });
    let mut line = match value {
        Some(value) => format!("{metric} {value:.2}{unit}"),
        None => format!("{metric} —"),
    };
    if let Some(Interval { low, high }) = interval {
        line += &format!(" (95 %: {low:.2} to {high:.2})");
    }
    line += &format!(", n = {n}");
    if let Some(edits) = edits {
        let EditCounts { hits, substitutions, deletions, insertions } = edits;
        object["edits"] = json!({
            "hits": hits, "substitutions": substitutions, "deletions": deletions, "insertions": insertions,
        });
        line += &format!(": {substitutions} substitutions, {deletions} deletions, {insertions} insertions");
    }
    if let Some(aligned) = aligned {
        line += &format!("\n\n{}", aligned.trim_end());
        object["aligned"] = aligned.into();
    }
    let reporter = Reporter::new(options.json, 1);
    reporter.done(&object, &line);
    Ok(reporter.finish())
}

fn bootstrap() -> Bootstrap {
    Bootstrap::new(Key::new(1).fold("bootstrap"))
}

/// Reference and hypothesis line by line, at least one.
fn texts(options: &Score) -> Result<Vec<(String, String)>, Unusable> {
    let [references, hypotheses] = [&options.reference, &options.hypothesis].map(|path| lines(path, options.normalise));
    let (references, hypotheses) = (references?, hypotheses?);
    if references.len() != hypotheses.len() {
        let (lines, others) = (references.len(), hypotheses.len());
        return Err(Unusable(format!("{lines} lines of references, but {others} of hypotheses")));
    }
    if references.is_empty() {
        return Err(Unusable(format!("{}: there is no line to score", options.reference)));
    }
    Ok(references.into_iter().zip(hypotheses).collect())
}

fn edits(options: &Score, errors: fn(&str, &str) -> EditCounts) -> Result<Figure, Unusable> {
    let texts = texts(options)?;
    let counts: Vec<EditCounts> = texts.iter().map(|(reference, hypothesis)| errors(reference, hypothesis)).collect();
    let total: EditCounts = counts.iter().copied().sum();
    let interval = bootstrap().interval(&counts[..]);
    let aligned = options.aligned.then(|| {
        let names: Vec<String> = (1..=texts.len()).map(|number| format!("line {number}")).collect();
        aligned_errors(names.iter().zip(&texts).map(|(name, (a, b))| (name.as_str(), a.as_str(), b.as_str())))
    });
    Ok(Figure { value: total.percent(), interval, n: texts.len(), edits: Some(total), aligned, unit: " %" })
}

fn bleu(options: &Score) -> Result<Figure, Unusable> {
    let counts: Vec<BleuCounts> = texts(options)?.iter().map(|(a, b)| BleuCounts::of(a, b)).collect();
    let (value, interval) = (counts.iter().copied().sum::<BleuCounts>().score(), bootstrap().interval(&counts[..]));
    Ok(Figure { value, interval, n: counts.len(), edits: None, aligned: None, unit: "" })
}

fn equal(options: &Score) -> Result<Figure, Unusable> {
    let hits: Vec<f64> = texts(options)?.iter().map(|(a, b)| if a == b { 100.0 } else { 0.0 }).collect();
    let value = Some(hits.iter().sum::<f64>() / hits.len() as f64);
    Ok(Figure {
        value,
        interval: bootstrap().interval(&hits[..]),
        n: hits.len(),
        edits: None,
        aligned: None,
        unit: " %",
    })
}

fn lines(path: &str, normalised: bool) -> Result<Vec<String>, Unusable> {
    let text = match path {
        "-" => standard_text()?,
        path => std::fs::read_to_string(Path::new(path)).map_err(|error| Unusable(format!("{path}: {error}")))?,
    };
    // Editors of some systems mark a file as UTF-8 by this character.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    Ok(text.lines().map(|line| if normalised { spoken(line) } else { line.trim().to_owned() }).collect())
}

/// The words of a line as they are said: normalised, without punctuation. An apostrophe stays inside a word.
fn spoken(line: &str) -> String {
    let line: Vec<char> = normalise(line).replace('’', "'").chars().collect();
    let is_letter = |place: Option<usize>| place.and_then(|place| line.get(place)).is_some_and(|c| c.is_alphanumeric());
    let said = |(place, &c): (usize, &char)| match c {
        '\'' if !(is_letter(place.checked_sub(1)) && is_letter(Some(place + 1))) => ' ',
        c if is_punctuation(c) => ' ',
        c => c,
    };
    let line: String = line.iter().enumerate().map(said).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Punctuation of the languages that are likely here, but for the apostrophe.
fn is_punctuation(c: char) -> bool {
    let ascii = c.is_ascii_punctuation() && c != '\'';
    ascii || matches!(c, '¡' | '¿' | '«' | '»' | '‐'..='‘' | '‚'..='‧' | '、'..='〃' | '〈'..='】')
}

/// Recordings side by side: two that were named, or those of the same stem among several, in the references' order.
fn pairs<'a>(references: &'a [Input], hypotheses: &'a [Input]) -> Result<Vec<(&'a Input, &'a Input)>, Unusable> {
    if let ([reference], [hypothesis]) = (references, hypotheses) {
        return Ok(vec![(reference, hypothesis)]);
    }
    let (of_references, of_hypotheses) = (by_stem(references)?, by_stem(hypotheses)?);
    let alone = |inputs: &'a [Input], others: &HashMap<&OsStr, &Input>| {
        inputs.iter().find(|input| !others.contains_key(input.stem()))
    };
    let (reference, hypothesis) = (alone(references, &of_hypotheses), alone(hypotheses, &of_references));
    if let Some((input, others)) = reference.zip(Some("hypotheses")).or(hypothesis.zip(Some("references"))) {
        let message = format!("there is none of this name among the {others}; recordings are paired by their names");
        return Err(Unusable(format!("{}: {message}", input.name)));
    }
    Ok(references.iter().map(|reference| (reference, of_hypotheses[reference.stem()])).collect())
}

/// Recordings by their stems, each of which may be there once.
fn by_stem(inputs: &[Input]) -> Result<HashMap<&OsStr, &Input>, Unusable> {
    let mut found = HashMap::new();
    for input in inputs {
        if let Some(other) = found.insert(input.stem(), input) {
            let message = format!("{} has the same name, but recordings are paired by their names", other.name);
            return Err(Unusable(format!("{}: {message}", input.name)));
        }
    }
    Ok(found)
}

fn distances(options: &Score) -> Result<Figure, Unusable> {
    let log_mel = LogMel::default();
    let recordings = |files: &str| Recordings::named(vec![files.into()]).expand();
    let (references, hypotheses) = (recordings(&options.reference)?, recordings(&options.hypothesis)?);
    let cepstrum = |input: &Input| -> Result<Frames, Unusable> {
        let (samples, _) = input.samples(log_mel.config().rate).map_err(Unusable)?;
        Ok(distance_cepstrum(&log_mel.log_mel(&samples)))
    };
    let distance = |(reference, hypothesis): (&Input, &Input)| -> Result<f64, Unusable> {
        let (a, b) = (cepstrum(reference)?, cepstrum(hypothesis)?);
        Ok(log_mel_cepstral_distance(&a.data, &b.data, a.width, false).decibels)
    };
    let decibels: Vec<f64> =
        pairs(&references, &hypotheses)?.into_iter().map(distance).collect::<Result<_, Unusable>>()?;
    let n = decibels.len();
    let value = (n > 0).then(|| decibels.iter().sum::<f64>() / n as f64);
    let interval = bootstrap().interval(&decibels[..]);
    Ok(Figure { value, interval, n, edits: None, aligned: None, unit: " dB" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_are_punctuation_and_apostrophes_are_not() {
        for (written, said) in [
            ("He said 'hello' and ‘bye’.", "he said hello and bye"),
            ("“It’s” the dogs' l’arbre", "it's the dogs l'arbre"),
            ("rock 'n' roll -- ''", "rock n roll"),
        ] {
            assert_eq!(spoken(written), said);
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_word() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "\u{feff}one two\n\u{feff}three\n").unwrap();
        let read = lines(file.path().to_str().unwrap(), false).unwrap();
        assert_eq!(read, ["one two", "\u{feff}three"]);
    }
}
