//! Numbers of PyTorch, steps against the whole, files against each other, and the part in a beam search.

use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, activation};
use serde_json::Value;
use vocable_decode::{BeamConfig, Companions, Hypothesis, TextLimits, TextStepper, beam_search};
use vocable_lm::{Dictionary, Fusion, LanguageModel, LmConfig, LmError, TransformerLm};
use vocable_nets::Tokens;
use vocable_nn::{Mode, NormPlacement};
use vocable_random::Key;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/lm").join(name)
}

fn tiny() -> LmConfig {
    LmConfig { layers: 2, width: 8, feed_forward: 12, heads: 2, deviation: 0.5, ..LmConfig::official() }
}

fn model(config: &LmConfig, tokens: usize, seed: u64) -> TransformerLm {
    config.init(tokens, 1, Key::new(seed), &Device::flex())
}

/// Log-probabilities after every prefix.
fn whole(model: &TransformerLm, sentence: &[u32]) -> Vec<Vec<f32>> {
    let logits = model.forward(&Tokens::new(&[sentence.to_vec()], 1, &Device::flex()), Mode::Eval);
    rows(activation::log_softmax(logits, 2).squeeze_dim(0))
}

fn rows(scores: Tensor<2>) -> Vec<Vec<f32>> {
    let width = scores.dims()[1];
    scores.try_into_vec_as::<f32>().unwrap().chunks_exact(width).map(<[f32]>::to_vec).collect()
}

#[track_caller]
fn close(ours: &[f32], theirs: &[f32], tolerance: f32) {
    assert_eq!(ours.len(), theirs.len());
    for (n, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= tolerance, "{n}: {a} instead of {b}");
    }
}

#[test]
fn checkpoints_of_fairseq_give_the_probabilities_of_pytorch() {
    let expected: Value = serde_json::from_slice(&fs::read(fixture("expected.json")).unwrap()).unwrap();
    let sentence: Vec<u32> = serde_json::from_value(expected["sentence"].clone()).unwrap();
    for (name, heads, norm, tied) in [("pre", 2, NormPlacement::Pre, false), ("post", 4, NormPlacement::Post, true)] {
        let lm = LanguageModel::open(fixture(name).join("model.pt"), &Device::flex()).unwrap();
        assert_eq!((lm.config.heads, lm.config.norm, lm.config.tied), (heads, norm, tied), "{name}");
        let theirs: Vec<Vec<f32>> = serde_json::from_value(expected[name].clone()).unwrap();
        let ours = whole(&lm.model, &sentence);
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            // Numbers of order one to ten in float32, in another order of sums.
            close(ours, theirs, 2e-5);
        }
    }
}

#[test]
fn a_folder_gives_back_what_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pre", "post"] {
        let lm = LanguageModel::open(fixture(name).join("model.pt"), &Device::flex()).unwrap();
        let to = folder.path().join(name);
        lm.save(&to).unwrap();
        let again = LanguageModel::open(&to, &Device::flex()).unwrap();
        assert_eq!((&again.config, &again.dictionary), (&lm.config, &lm.dictionary));
        assert_eq!(whole(&again.model, &[2, 4, 5, 9]), whole(&lm.model, &[2, 4, 5, 9]), "{name}");
        assert_eq!(fs::read_dir(&to).unwrap().count(), 3, "nothing partial is left");
    }
}

#[test]
fn steps_of_branching_hypotheses_equal_whole_passes() {
    for norm in [NormPlacement::Pre, NormPlacement::Post] {
        let model = model(&LmConfig { norm, ..tiny() }, 9, 3);
        let mut past = model.start(2);
        let mut prefixes: Vec<Vec<u32>> = vec![Vec::new(); 2];
        // Of each step the newest tokens, and which rows go on: branches of a beam, a batch that shrinks.
        let steps: [(&[u32], &[usize]); 5] = [
            (&[2, 2], &[0, 0, 1]),
            (&[4, 5, 6], &[2, 1, 1, 0]),
            (&[7, 8, 4, 5], &[3, 1]),
            (&[6, 6], &[1]),
            (&[3], &[0]),
        ];
        for (newest, kept) in steps {
            let found = rows(model.step(newest, &mut past));
            for ((prefix, &token), found) in prefixes.iter_mut().zip(newest).zip(&found) {
                prefix.push(token);
                // The same sums in float32, some in another order.
                close(found, whole(&model, prefix).last().unwrap(), 1e-5);
            }
            past.select(kept);
            prefixes = kept.iter().map(|&row| prefixes[row].clone()).collect();
        }
        assert_eq!(past.len(), 5);
    }
}

#[test]
fn a_sentence_does_not_hear_its_neighbours() {
    let model = model(&tiny(), 9, 4);
    let sentences = [vec![2, 4, 5, 6, 7], vec![2, 8, 3]];
    let logits = model.forward(&Tokens::new(&sentences, 1, &Device::flex()), Mode::Eval);
    let together = activation::log_softmax(logits, 2);
    for (n, sentence) in sentences.iter().enumerate() {
        let alone = whole(&model, sentence);
        let found = rows(together.clone().narrow(0, n, 1).squeeze_dim(0));
        (0..sentence.len()).for_each(|position| close(&found[position], &alone[position], 1e-5));
    }
}

/// The decoder's vocabulary, and the language model's in another order with a token more; `<blank>` is the decoder's
/// alone.
const DECODER: [&str; 7] = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "<blank>"];
const OTHER: [&str; 7] = ["b", "<unk>", "é", "</s>", "a", "<pad>", "<s>"];
const LIMITS: TextLimits = TextLimits { start: 2, end: 2, min_length: 1, max_length: 3 };
/// All but the end, `a` and `b`.
const SUPPRESSED: [u32; 4] = [0, 1, 3, 6];

fn dictionary(spellings: &[&str]) -> Dictionary {
    Dictionary::try_from(spellings.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
}

/// A random model over some tokens, as a companion of the decoder.
fn fusion(spellings: &[&str], seed: u64) -> Fusion {
    let model = model(&tiny(), spellings.len(), seed);
    let lm = LanguageModel { path: "lm".into(), config: tiny(), dictionary: dictionary(spellings), model };
    Fusion::new(lm, DECODER).unwrap()
}

/// The decoder is a language model itself.
fn decoder() -> Fusion {
    fusion(&DECODER, 5)
}

fn search(weight: f64, lm: Option<&mut dyn TextStepper>) -> Vec<Vec<Hypothesis>> {
    let decoder = decoder();
    let mut stepper = decoder.stepper(2);
    let companions = Companions { ctc: &[], language_model: lm };
    let config = BeamConfig { lm_weight: weight, ..BeamConfig::attention(16) };
    beam_search(&mut stepper, companions, 2, &LIMITS, &SUPPRESSED, &config)
}

#[test]
fn a_wide_beam_finds_what_is_best_of_all() {
    let (decoder, fusion) = (decoder(), fusion(&OTHER, 6));
    let (decoder, lm) = (&decoder.lm.model, &fusion.lm.model);
    for weight in [0.3, 1.0, 2.5] {
        let translate = |token: u32| OTHER.iter().position(|s| *s == DECODER[token as usize]).unwrap() as u32;
        let mut expected: Vec<(f64, Vec<u32>)> = Vec::new();
        let mut longest: Vec<Vec<u32>> = vec![Vec::new()];
        for _ in 0..LIMITS.max_length {
            longest = longest.iter().flat_map(|s| [4, 5].map(|token| [s.as_slice(), &[token]].concat())).collect();
            for sentence in &longest {
                let input: Vec<u32> = [2].into_iter().chain(sentence.iter().copied()).collect();
                let target: Vec<u32> = sentence.iter().copied().chain([2]).collect();
                let by_decoder = whole(decoder, &input);
                let by_lm = whole(lm, &input.iter().map(|&token| translate(token)).collect::<Vec<_>>());
                let score: f64 = (target.iter().enumerate())
                    .map(|(n, &token)| {
                        f64::from(by_decoder[n][token as usize])
                            + weight * f64::from(by_lm[n][translate(token) as usize])
                    })
                    .sum();
                expected.push((score / target.len() as f64, sentence.clone()));
            }
        }
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut stepper = fusion.stepper(2);
        for found in search(weight, Some(&mut stepper)) {
            assert_eq!(found.len(), expected.len());
            for (found, (score, sentence)) in found.iter().zip(&expected) {
                // Four sums of two log-probabilities of order one in float32.
                assert!((found.score - score).abs() < 1e-5, "{found:?} instead of {sentence:?} {score}");
                assert_eq!(&found.tokens, sentence);
            }
        }
    }
}

#[test]
fn a_weight_of_zero_is_no_language_model() {
    struct Never;
    impl TextStepper for Never {
        fn step(&mut self, _: &[u32]) -> Tensor<2> {
            panic!("a model without weight was run");
        }
        fn select(&mut self, _: &[usize]) {
            panic!("a model without weight was run");
        }
    }
    assert_eq!(search(0.0, Some(&mut Never)), search(0.0, None));
}

#[test]
fn characters_that_are_missing_are_named() {
    let fusion = fusion(&OTHER, 1);
    let error = Fusion::new(fusion.lm, ["</s>", "a", "ß", "b", "œ", "<mask>"]);
    let message = error.unwrap_err().to_string();
    assert!(message.starts_with("lm: the language model has no token for ß œ;"), "{message}");
}

/// A copy of a folder that was saved, changed by `harm`.
fn refused(harm: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let lm = LanguageModel::open(fixture("pre/model.pt"), &Device::flex()).unwrap();
    lm.save(folder.path()).unwrap();
    harm(folder.path());
    LanguageModel::open(folder.path(), &Device::flex()).unwrap_err().to_string()
}

fn edit(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

#[test]
fn files_that_do_not_fit_are_refused_in_a_line() {
    type Harm = Box<dyn FnOnce(&Path)>;
    let cases: [(&str, Harm); 8] = [
        ("config.json: ", Box::new(|at| fs::remove_file(at.join("config.json")).unwrap())),
        ("unknown field `lairs`", Box::new(|at| edit(at, "config.json", "\"layers\"", "\"lairs\""))),
        ("does not divide into 3 heads", Box::new(|at| edit(at, "config.json", "\"heads\": 2", "\"heads\": 3"))),
        ("lacks stack.layers.2.", Box::new(|at| edit(at, "config.json", "\"layers\": 2", "\"layers\": 3"))),
        (
            "is described, but the file holds",
            Box::new(|at| edit(at, "config.json", "\"width\": 8", "\"width\": 80000")),
        ),
        (
            "has another shape of",
            Box::new(|at| edit(at, "config.json", "\"feed_forward\": 12", "\"feed_forward\": 13")),
        ),
        ("10 rows, but its vocabulary 9", Box::new(|at| edit(at, "vocabulary.json", "  \"e\",\n", ""))),
        ("the token </s> is missing", Box::new(|at| edit(at, "vocabulary.json", "</s>", "end"))),
    ];
    for (expected, harm) in cases {
        let message = refused(harm);
        assert!(message.contains(expected) && message.lines().count() == 1, "{expected}: {message}");
    }
    let open = |name: &str| LanguageModel::open(fixture(name), &Device::flex()).unwrap_err();
    assert!(matches!(open("none.pt"), LmError::Weights(_)));
    let other = LanguageModel::open(fixture("../weights/tensors.pt"), &Device::flex()).unwrap_err().to_string();
    assert!(other.contains("no `transformer_lm` of fairseq"), "{other}");
}

#[test]
fn the_official_model_has_446_million_weights_beside_its_embeddings() {
    let config = LmConfig::official();
    let beside = config.weights(0) / 1e6;
    assert!((446.0 - beside).abs() < 1.0, "{beside}");
}
