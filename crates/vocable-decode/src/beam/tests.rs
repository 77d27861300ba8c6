use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use vocable_random::Key;

use super::*;
use crate::text::Prefixes;

const VOCABULARY: usize = 4;
const END: u32 = 0;
const BLANK: u32 = 3;
const LIMITS: TextLimits = TextLimits { start: 0, end: END, min_length: 0, max_length: 4 };

/// Next-token probabilities that are a function of the utterance and of its whole prefix.
struct Oracle {
    utterances: Vec<usize>,
    prefixes: Prefixes,
    key: Key,
}

impl Oracle {
    fn new(batch: usize, key: &str) -> Self {
        Self { utterances: (0..batch).collect(), prefixes: Prefixes::default(), key: Key::new(7).fold(key) }
    }

    fn one(utterance: usize, key: &str) -> Self {
        Self { utterances: vec![utterance], ..Self::new(0, key) }
    }

    fn log_probabilities(&self, utterance: usize, prefix: &[u32]) -> Vec<f32> {
        let key = prefix.iter().fold(self.key.fold(utterance), |key, &token| key.fold(token as usize));
        let mut rng = key.rng();
        let logits: Vec<f32> = (0..VOCABULARY).map(|_| rng.random_range(-2.0..2.0)).collect();
        let sum: f32 = logits.iter().map(|x| x.exp()).sum();
        logits.iter().map(|x| x - sum.ln()).collect()
    }
}

impl TextStepper for Oracle {
    fn step(&mut self, newest: &[u32]) -> Tensor<2> {
        assert_eq!(newest.len(), self.utterances.len(), "a row for every prefix");
        let prefixes = self.prefixes.push(newest).to_vec();
        let rows: Vec<f32> = prefixes
            .iter()
            .zip(&self.utterances)
            .flat_map(|(prefix, &utterance)| self.log_probabilities(utterance, prefix))
            .collect();
        Tensor::from_data(TensorData::new(rows, [prefixes.len(), VOCABULARY]), &Device::flex())
    }

    fn select(&mut self, rows: &[usize]) {
        self.prefixes.select(rows);
        self.utterances = rows.iter().map(|&row| self.utterances[row]).collect();
    }
}

fn ctc(utterance: usize) -> CtcPrefixScorer {
    let mut rng = Key::new(8).fold(utterance).rng();
    let mut frames: Vec<f32> = (0..6 * VOCABULARY).map(|_| rng.random_range(-2.0..1.0)).collect();
    for frame in frames.chunks_exact_mut(VOCABULARY) {
        let sum: f32 = frame.iter().map(|x| x.exp()).sum();
        frame.iter_mut().for_each(|x| *x -= sum.ln());
    }
    CtcPrefixScorer::new(&frames, VOCABULARY, BLANK, END)
}

/// The score of a whole sequence by the definition, token by token.
fn score(utterance: usize, tokens: &[u32], config: &BeamConfig) -> f64 {
    let (decoder, lm) = (Oracle::new(0, "decoder"), Oracle::new(0, "lm"));
    let scorer = ctc(utterance);
    let mut prefix = scorer.start();
    let mut written = vec![LIMITS.start];
    let mut total = 0.0;
    for &token in tokens.iter().chain([&END]) {
        let index = token as usize;
        let continued = scorer.continuations(&prefix)[index];
        total += (1.0 - config.ctc_weight) * f64::from(decoder.log_probabilities(utterance, &written)[index])
            + config.lm_weight * f64::from(lm.log_probabilities(utterance, &written)[index]);
        if config.ctc_weight > 0.0 {
            total += config.ctc_weight * (continued - prefix.log_probability);
        }
        prefix = scorer.extend(&prefix, token, continued);
        written.push(token);
    }
    total / (tokens.len() as f64 + 1.0).powf(config.length_penalty)
}

/// All sequences up to the longest length, without the suppressed blank.
fn all_sequences() -> Vec<Vec<u32>> {
    let mut all = vec![Vec::new()];
    let mut longest: Vec<Vec<u32>> = all.clone();
    for _ in 0..LIMITS.max_length {
        longest = longest.iter().flat_map(|s| [1, 2].map(|token| [s.as_slice(), &[token]].concat())).collect();
        all.extend(longest.iter().cloned());
    }
    all
}

fn configs() -> [BeamConfig; 4] {
    let plain = BeamConfig::attention(64);
    [
        plain,
        BeamConfig { lm_weight: 0.7, ..plain },
        BeamConfig { ctc_weight: 0.4, ..plain },
        BeamConfig { ctc_weight: 0.5, lm_weight: 0.3, length_penalty: 0.5, ..plain },
    ]
}

fn search(utterances: &[usize], config: &BeamConfig) -> Vec<Vec<Hypothesis>> {
    let steppers = |key| Oracle { utterances: utterances.to_vec(), ..Oracle::new(0, key) };
    let (mut decoder, mut lm) = (steppers("decoder"), steppers("lm"));
    let scorers: Vec<CtcPrefixScorer> = utterances.iter().map(|&utterance| ctc(utterance)).collect();
    let companions = Companions { ctc: &scorers, language_model: Some(&mut lm) };
    beam_search(&mut decoder, companions, utterances.len(), &LIMITS, &[BLANK], config)
}

#[test]
fn a_wide_beam_finds_every_sequence_in_order() {
    for config in configs() {
        for utterance in 0..5 {
            let found = search(&[utterance], &config).remove(0);
            let mut expected: Vec<(f64, Vec<u32>)> =
                all_sequences().into_iter().map(|tokens| (score(utterance, &tokens, &config), tokens)).collect();
            expected.retain(|(score, _)| score.is_finite());
            expected.sort_by(|a, b| b.0.total_cmp(&a.0));
            assert_eq!(found.len(), expected.len(), "{config:?}");
            for (found, (score, tokens)) in found.iter().zip(&expected) {
                // Sums of at most ten f32 log-probabilities.
                assert!((found.score - score).abs() < 1e-6, "{config:?}: {found:?} instead of {tokens:?} {score}");
                assert_eq!(&found.tokens, tokens);
                assert_eq!(found.ended, tokens.len() < LIMITS.max_length);
            }
        }
    }
}

#[test]
fn a_batch_is_decoded_as_its_singles() {
    for config in configs() {
        for beam in [1, 2, 3] {
            let config = BeamConfig { beam, ..config };
            let together = search(&[0, 1, 2, 3, 4], &config);
            for (utterance, found) in together.iter().enumerate() {
                assert_eq!(found, &search(&[utterance], &config)[0]);
                assert!(!found.is_empty() && found.len() <= beam);
                assert!(found.is_sorted_by(|a, b| a.score >= b.score));
            }
        }
    }
}

#[test]
fn a_beam_of_one_without_companions_is_greedy() {
    let config = BeamConfig { length_penalty: 0.0, ..BeamConfig::attention(1) };
    for utterance in 0..8 {
        let mut stepper = Oracle::one(utterance, "decoder");
        let found = beam_search(&mut stepper, Companions::default(), 1, &LIMITS, &[BLANK], &config).remove(0);
        let greedy = crate::greedy(&mut Oracle::one(utterance, "decoder"), 1, &LIMITS, &[BLANK]).remove(0);
        assert_eq!((&found[0].tokens, found[0].ended), (&greedy.tokens, greedy.ended));
        if greedy.ended {
            assert!((found[0].score - greedy.score).abs() < 1e-9);
        }
    }
}

#[test]
fn lengths_are_kept_between_the_limits() {
    let limits = TextLimits { min_length: 2, max_length: 3, ..LIMITS };
    let mut stepper = Oracle::new(6, "decoder");
    for hypotheses in beam_search(&mut stepper, Companions::default(), 6, &limits, &[BLANK], &BeamConfig::attention(3))
    {
        assert!(hypotheses.iter().all(|found| (2..=3).contains(&found.tokens.len())), "{hypotheses:?}");
    }
}

#[test]
fn a_search_that_nothing_can_continue_returns_what_it_has() {
    // The decoder wants two tokens, CTC has a single frame, and the end is not among its few candidates.
    struct Stubborn;
    impl TextStepper for Stubborn {
        fn step(&mut self, newest: &[u32]) -> Tensor<2> {
            let row: Vec<f32> = (0..20).map(|token| if token == END as usize { -50.0 } else { -1.0 }).collect();
            Tensor::from_data(TensorData::new(row.repeat(newest.len()), [newest.len(), 20]), &Device::flex())
        }
        fn select(&mut self, _: &[usize]) {}
    }
    let scorer = CtcPrefixScorer::new(&[-3.0; 20], 20, 19, END);
    let config = BeamConfig { ctc_weight: 0.5, ..BeamConfig::attention(1) };
    let companions = Companions { ctc: &[scorer], language_model: None };
    let found = beam_search(&mut Stubborn, companions, 1, &LIMITS, &[], &config).remove(0);
    assert_eq!((found.len(), found[0].tokens.len(), found[0].ended), (1, 1, false));
}

#[test]
#[should_panic(expected = "CTC is weighed, but not given")]
fn ctc_without_scorers_is_a_bug() {
    let config = BeamConfig { ctc_weight: 0.5, ..BeamConfig::attention(2) };
    beam_search(&mut Oracle::new(1, "decoder"), Companions::default(), 1, &LIMITS, &[], &config);
}
