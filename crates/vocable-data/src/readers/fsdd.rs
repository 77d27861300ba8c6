//! The Free Spoken Digit Dataset: single digits of six voices, joined into strings that are as long as sentences.
//!
//! Its public layout is `{digit}_{speaker}_{index}.wav`, 8 kHz: 6 speakers × 10 digits × 50 takes. Takes 0–4 are the
//! customary test split; of the training takes 5–49 the last five become `valid`. Voices that are held out appear in
//! `test-other` alone, with their takes 0–4.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rand::RngExt;
use rand::seq::IndexedRandom;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use vocable_files::hex;
use vocable_random::Key;

use super::{MANIFEST, Prepared, Progress, claim, refuse};
use crate::DataError;
use crate::corpus::RATE;
use crate::manifest::{Manifest, Split, Utterance};
use crate::verify::BadFile;

/// The voices of the data set.
pub const SPEAKERS: [&str; 6] = ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"];
/// The two voices that are held out where nothing else is asked for.
pub const HELD_OUT: [&str; 2] = ["theo", "yweweler"];
const WORDS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
const TAKES: usize = 50;
const SOURCE_RATE: u32 = 8_000;

/// Samples at 8 kHz of a whole string (2–4 s) and of a pause between digits (80–150 ms).
const STRING_SAMPLES: Range<usize> = 16_000..32_000;
const PAUSE_SAMPLES: Range<usize> = 640..1_200;
/// Digits per string; which of these fit into 2–4 s depends on the voices.
const DIGITS: Range<usize> = 4..8;
/// How often a voice tries other takes and pauses before its digit string is given up.
const TRIES: usize = 12;

/// What to make of the digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Voices that are kept for `test-other`; may be empty.
    pub held_out: Vec<String>,
    /// Training strings per voice; `valid` has a tenth and each test split a fifth of it.
    pub strings: usize,
    /// Which digits, takes and pauses.
    pub seed: u64,
    /// Leave out unusable recordings instead of refusing.
    pub skip_bad: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { held_out: HELD_OUT.map(String::from).to_vec(), strings: 200, seed: 1, skip_bad: false }
    }
}

/// Prepares the recordings under `from` (the folder of WAV files, or the one that has it as `recordings`) in the
/// folder `to`: strings of digits of one voice as 16 kHz WAV, the text in words (`three seven one`).
///
/// Within a split all voices say the same strings, and no string is in two splits. Takes are used about equally often.
/// A rounding dither of one 16-bit step keeps the pauses from being digital silence.
///
/// # Errors
/// A voice that does not exist, or no voice left to train on. Unless `skip_bad`, every recording that is missing,
/// unusable or not of the layout ([`DataError::BadFiles`], before anything is written); with it, a digit of which a
/// voice has no take left in a split.
pub fn prepare(from: &Path, to: &Path, settings: &Settings, progress: &dyn Progress) -> Result<Prepared, DataError> {
    let (seen, held_out) = voices(settings)?;
    let (recordings, bad) = Recordings::read(from, progress)?;
    let skipped = refuse(bad, settings.skip_bad)?;

    let key = Key::new(settings.seed).fold("fsdd");
    let mut said = HashSet::new();
    let mut strings = Vec::new();
    for split in Split::ALL {
        let (voices, takes, count) = match split {
            Split::Train => (&seen, 5..45, settings.strings),
            Split::Valid => (&seen, 45..50, settings.strings.div_ceil(10)),
            Split::TestClean => (&seen, 0..5, settings.strings.div_ceil(5)),
            Split::TestOther => (&held_out, 0..5, settings.strings.div_ceil(5)),
        };
        if !voices.is_empty() {
            strings.extend(recordings.compose(split, voices, takes, count, &mut said, key)?);
        }
    }

    let recipe = serde_json::json!({
        "reader": "fsdd", "held_out": held_out.iter().map(|&voice| SPEAKERS[voice]).collect::<Vec<_>>(), "strings": settings.strings, "seed": settings.seed,
        "recordings": recordings.hash(), "rate": RATE,
    });
    let own: Vec<PathBuf> = strings.iter().map(|string| to.join(string.audio())).collect();
    let same = claim(to, &recipe, &own)?;
    let folder = to.join("wav");
    fs::create_dir_all(&folder).map_err(DataError::io(&folder))?;
    progress.step("joining digits", strings.len());
    let written = strings.par_iter().map(|string| {
        let result = recordings.write(string, to, same, key);
        progress.done();
        result
    });
    let written: Vec<(Utterance, bool)> = written.collect::<Result<_, DataError>>()?;
    let kept = written.iter().filter(|(_, was_there)| *was_there).count();
    let utterances = written.into_iter().map(|(utterance, _)| utterance).collect();
    let manifest = Manifest { path: to.join(MANIFEST), utterances };
    manifest.write()?;
    Ok(Prepared { manifest, skipped, kept, missing: Vec::new() })
}

/// Indices into [`SPEAKERS`] of the voices to train on and of those held out.
fn voices(settings: &Settings) -> Result<(Vec<usize>, Vec<usize>), DataError> {
    if let Some(unknown) = settings.held_out.iter().find(|name| !SPEAKERS.contains(&name.as_str())) {
        let known = SPEAKERS.join(", ");
        return Err(DataError::Invalid(format!("no voice is called `{unknown}`; the data set has {known}")));
    }
    let (held_out, seen): (Vec<usize>, Vec<usize>) =
        (0..SPEAKERS.len()).partition(|&voice| settings.held_out.iter().any(|name| name == SPEAKERS[voice]));
    if seen.is_empty() || settings.strings == 0 {
        return Err(DataError::Invalid("nothing is left to train on: hold out fewer voices, make more strings".into()));
    }
    Ok((seen, held_out))
}

/// A digit string as one voice says it.
struct DigitString {
    split: Split,
    voice: usize,
    digits: Vec<usize>,
    /// The take of each digit.
    takes: Vec<usize>,
    /// Samples of silence after each digit but the last.
    pauses: Vec<usize>,
}

impl DigitString {
    fn id(&self) -> String {
        let digits: String = self.digits.iter().map(usize::to_string).collect();
        format!("{}-{}-{digits}", self.split, SPEAKERS[self.voice])
    }

    /// Its file in the prepared folder.
    fn audio(&self) -> PathBuf {
        PathBuf::from("wav").join(format!("{}.wav", self.id()))
    }
}

/// The decoded data set: samples at 8 kHz by (voice, digit, take); none where a recording is unusable.
struct Recordings(Vec<Option<Vec<f32>>>);

impl Recordings {
    fn read(from: &Path, progress: &dyn Progress) -> Result<(Self, Vec<BadFile>), DataError> {
        let folder = if from.join("recordings").is_dir() { from.join("recordings") } else { from.to_owned() };
        let paths: Vec<PathBuf> = (0..SPEAKERS.len() * WORDS.len() * TAKES)
            .map(|place| {
                let (voice, digit, take) = (place / TAKES / WORDS.len(), place / TAKES % WORDS.len(), place % TAKES);
                folder.join(format!("{digit}_{}_{take}.wav", SPEAKERS[voice]))
            })
            .collect();
        let expected: HashSet<&PathBuf> = paths.iter().collect();
        let mut strangers = Vec::new();
        for entry in fs::read_dir(&folder).map_err(DataError::io(&folder))? {
            let path = entry.map_err(DataError::io(&folder))?.path();
            if path.extension().is_some_and(|extension| extension == "wav") && !expected.contains(&path) {
                strangers.push(BadFile::new(&path, "not of the layout: 0–9, one of the six voices, 0–49"));
            }
        }
        strangers.sort();

        progress.step("reading digits", paths.len());
        let read = paths.par_iter().map(|path| {
            let audio = vocable_audio::read(path).and_then(|audio| audio.expect_rate(SOURCE_RATE));
            progress.done();
            audio.map(|audio| audio.samples).map_err(|error| BadFile::new(path, error))
        });
        let (mut recordings, mut bad) = (Vec::with_capacity(paths.len()), Vec::new());
        for result in read.collect::<Vec<_>>() {
            recordings.push(result.map_err(|file| bad.push(file)).ok());
        }
        if bad.len() == paths.len() {
            return Err(DataError::file(
                &folder,
                "holds no recording `{digit}_{speaker}_{index}.wav` that can be read",
            ));
        }
        bad.extend(strangers);
        Ok((Self(recordings), bad))
    }

    fn take(&self, voice: usize, digit: usize, take: usize) -> Option<&Vec<f32>> {
        self.0[(voice * WORDS.len() + digit) * TAKES + take].as_ref()
    }

    /// SHA-256 over all samples.
    fn hash(&self) -> String {
        let mut hash = Sha256::new();
        for recording in &self.0 {
            let samples = recording.as_deref().unwrap_or_default();
            hash.update(samples.len().to_le_bytes());
            samples.iter().for_each(|sample| hash.update(sample.to_le_bytes()));
        }
        hex(&hash.finalize())
    }

    /// Draws `count` digit strings that are new (not in `said`) and that every one of `voices` can say in 2–4 s.
    fn compose(
        &self,
        split: Split,
        voices: &[usize],
        takes: Range<usize>,
        count: usize,
        said: &mut HashSet<Vec<usize>>,
        key: Key,
    ) -> Result<Vec<DigitString>, DataError> {
        let key = key.fold(split.to_string().as_str());
        let mut decks = Vec::new();
        for &voice in voices {
            decks.push(Deck::new(self, voice, takes.clone(), split)?);
        }
        let mut strings = Vec::new();
        for attempt in 0..100 * count {
            if strings.len() == count * voices.len() {
                return Ok(strings);
            }
            let key = key.fold(attempt);
            let mut rng = key.rng();
            let digits: Vec<usize> = (0..rng.random_range(DIGITS)).map(|_| rng.random_range(0..WORDS.len())).collect();
            if said.contains(&digits) {
                continue;
            }
            let readings: Option<Vec<_>> = decks.iter().map(|deck| deck.reading(&digits, key)).collect();
            let Some(readings) = readings else { continue };
            for (deck, (takes, pauses)) in decks.iter_mut().zip(readings) {
                deck.count(&digits, &takes);
                strings.push(DigitString { split, voice: deck.voice, digits: digits.clone(), takes, pauses });
            }
            said.insert(digits);
        }
        let message = format!("too few digit strings of {split} last 2 to 4 s in every voice: ask for fewer");
        Err(DataError::Invalid(message))
    }

    /// Joins, resamples and writes one string, unless an earlier run of the same preparation did.
    fn write(&self, string: &DigitString, to: &Path, same: bool, key: Key) -> Result<(Utterance, bool), DataError> {
        let id = string.id();
        let audio = string.audio();
        let target = to.join(&audio);
        let joined = self.join(string);
        let length = joined.len() * RATE as usize / SOURCE_RATE as usize;
        let before = || vocable_audio::read(&target).and_then(|audio| audio.expect_rate(RATE));
        let was_there = same && before().is_ok_and(|audio| audio.samples.len() == length);
        if !was_there {
            let mut samples = vocable_audio::resample(&joined, SOURCE_RATE, RATE);
            let mut rng = key.fold("dither").fold(id.as_str()).rng();
            let step = 1.0 / 32_768.0;
            samples.iter_mut().for_each(|sample| *sample += step * (rng.random::<f32>() - rng.random::<f32>()));
            assert_eq!(samples.len(), length, "the resampler keeps the duration");
            vocable_audio::write_wav(&target, &samples, RATE)?;
        }
        let words: Vec<&str> = string.digits.iter().map(|&digit| WORDS[digit]).collect();
        let utterance = Utterance {
            id,
            audio,
            speaker: SPEAKERS[string.voice].to_owned(),
            text: words.join(" "),
            text_de: None,
            text_fr: None,
            seconds: length as f64 / f64::from(RATE),
            split: string.split,
            speaker_vector: None,
            sha256: None,
        };
        Ok((utterance, was_there))
    }

    fn join(&self, string: &DigitString) -> Vec<f32> {
        let mut joined = Vec::new();
        for (place, (&digit, &take)) in string.digits.iter().zip(&string.takes).enumerate() {
            joined.extend(self.take(string.voice, digit, take).expect("only usable takes are drawn"));
            joined.extend(std::iter::repeat_n(0.0, string.pauses.get(place).copied().unwrap_or(0)));
        }
        joined
    }
}

/// One take of a digit while strings are drawn.
struct Card {
    take: usize,
    samples: usize,
    used: usize,
}

/// The takes of one voice and split, by digit.
struct Deck {
    voice: usize,
    digits: Vec<Vec<Card>>,
}

impl Deck {
    fn new(recordings: &Recordings, voice: usize, takes: Range<usize>, split: Split) -> Result<Self, DataError> {
        let card = |digit, take| {
            let samples = recordings.take(voice, digit, take)?.len();
            Some(Card { take, samples, used: 0 })
        };
        let digits: Vec<Vec<Card>> =
            (0..WORDS.len()).map(|digit| takes.clone().filter_map(|take| card(digit, take)).collect()).collect();
        match digits.iter().position(Vec::is_empty) {
            Some(digit) => Err(DataError::Invalid(format!(
                "no usable take of `{}` by {} is left for {split}",
                WORDS[digit], SPEAKERS[voice]
            ))),
            None => Ok(Self { voice, digits }),
        }
    }

    /// Takes and pauses that make a string of the right duration: the least used ones at first, any with more tries.
    fn reading(&self, digits: &[usize], key: Key) -> Option<(Vec<usize>, Vec<usize>)> {
        let mut rng = key.fold(SPEAKERS[self.voice]).rng();
        (0..TRIES).find_map(|slack| {
            let cards = digits.iter().map(|&digit| {
                let least = self.digits[digit].iter().map(|card| card.used).min().expect("no digit is without takes");
                let fresh: Vec<&Card> = self.digits[digit].iter().filter(|card| card.used <= least + slack).collect();
                *fresh.choose(&mut rng).expect("the least used one is among them")
            });
            let (takes, spoken): (Vec<usize>, Vec<usize>) = cards.map(|card| (card.take, card.samples)).unzip();
            let pauses: Vec<usize> = digits[1..].iter().map(|_| rng.random_range(PAUSE_SAMPLES)).collect();
            let samples = spoken.iter().chain(&pauses).sum::<usize>();
            STRING_SAMPLES.contains(&samples).then_some((takes, pauses))
        })
    }

    fn count(&mut self, digits: &[usize], takes: &[usize]) {
        for (&digit, take) in digits.iter().zip(takes) {
            let card = self.digits[digit].iter_mut().find(|card| card.take == *take);
            card.expect("the take was drawn from here").used += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Takes of 0.25 to 0.6 s, the first of each voice and digit unusable.
    fn recordings() -> Recordings {
        let recording = |place: usize| {
            let samples = 2_000 + (place * 7_919) % 2_800;
            (!place.is_multiple_of(TAKES)).then(|| vec![0.1; samples])
        };
        Recordings((0..SPEAKERS.len() * WORDS.len() * TAKES).map(recording).collect())
    }

    #[test]
    fn strings_are_parallel_new_in_every_split_and_use_the_takes_evenly() {
        let recordings = recordings();
        let mut said = HashSet::new();
        let key = Key::new(3);
        let train = recordings.compose(Split::Train, &[0, 2, 5], 5..45, 200, &mut said, key).unwrap();
        let test = recordings.compose(Split::TestClean, &[0, 2, 5], 0..5, 40, &mut said, key).unwrap();
        assert_eq!((train.len(), test.len(), said.len()), (600, 120, 240));
        for trio in train.chunks(3).chain(test.chunks(3)) {
            assert!(trio.iter().all(|string| string.digits == trio[0].digits));
            assert_eq!(trio.iter().map(|string| string.voice).collect::<Vec<_>>(), [0, 2, 5]);
        }
        for string in train.iter().chain(&test) {
            let samples = recordings.join(string).len();
            assert!(STRING_SAMPLES.contains(&samples), "{} lasts {samples} samples", string.id());
            assert_eq!(string.pauses.len() + 1, string.digits.len());
        }
        assert!(test.iter().all(|string| string.takes.iter().all(|take| (1..5).contains(take))));
        let mut used: HashMap<(usize, usize, usize), usize> = HashMap::new();
        for string in &train {
            for (&digit, &take) in string.digits.iter().zip(&string.takes) {
                *used.entry((string.voice, digit, take)).or_default() += 1;
            }
        }
        assert_eq!(used.len(), 3 * 10 * 40, "every take is heard");
        assert!(*used.values().min().unwrap() >= 2, "{:?}", used.values().min());
        assert!(*used.values().max().unwrap() <= 8, "{:?}", used.values().max());
    }

    #[test]
    fn what_cannot_be_composed_is_said() {
        let recordings = recordings();
        let compose = |takes, count| {
            let strings = recordings.compose(Split::Valid, &[1], takes, count, &mut HashSet::new(), Key::new(1));
            strings.map(|strings| strings.len()).map_err(|error| error.to_string())
        };
        assert_eq!(compose(45..50, 3), Ok(3));
        assert_eq!(compose(0..1, 3), Err("no usable take of `zero` by jackson is left for valid".into()));
        let silent = Recordings(vec![Some(vec![0.0; 10]); 3000]);
        let none = silent.compose(Split::Valid, &[1], 45..50, 3, &mut HashSet::new(), Key::new(1));
        assert!(none.is_err_and(|error| error.to_string().starts_with("too few digit strings of valid")));
    }

    #[test]
    fn voices_are_divided_and_unknown_ones_refused() {
        let held_out = |names: &[&str]| {
            let held_out = names.iter().map(|&name| name.to_owned()).collect();
            voices(&Settings { held_out, ..Settings::default() })
        };
        assert_eq!(held_out(&["theo", "george"]).unwrap(), (vec![1, 2, 3, 5], vec![0, 4]));
        assert_eq!(held_out(&[]).unwrap().1, [0_usize; 0]);
        assert!(held_out(&["bob"]).unwrap_err().to_string().contains("`bob`; the data set has george"));
        assert!(held_out(&SPEAKERS).is_err());
    }
}
