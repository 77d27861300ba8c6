//! Translation over recordings of the corpus that ships.

use std::sync::Arc;

use burn::module::Module;
use vocable_data::manifest::{Language, Split};
use vocable_decode::BeamConfig;
use vocable_random::Key;
use vocable_speecht5::st::{StConfig, Translating, Translation};
use vocable_speecht5::to_text::TextOutput;
use vocable_speecht5::{ModelError, Preset, Regularisation};
use vocable_text::{CharVocabulary, SubwordKind, Subwords, Vocabulary};
use vocable_train::{BatchId, Objective};

use super::small::dataset;
use super::tiny::{config, device};

#[test]
fn it_trains_on_and_writes_the_other_language() {
    let dataset = dataset();
    use SubwordKind::{Bpe, Unigram};
    for (language, pieces, subwords) in
        [(Language::German, Some(60), Unigram), (Language::German, Some(60), Bpe), (Language::French, None, Bpe)]
    {
        let output = Translation { language, pieces, subwords };
        let text = |index: usize| output.text(dataset.utterance(index)).unwrap();
        let texts: Vec<&str> = dataset.split(Split::Train).into_iter().map(text).collect();
        let vocabulary: Arc<dyn Vocabulary> = match pieces {
            Some(pieces) => Arc::new(Subwords::train(&texts, subwords, pieces).unwrap()),
            None => Arc::new(CharVocabulary::from_lines(&texts)),
        };
        let recipe = StConfig { batch_samples: 6 * 16_000, output, ..StConfig::base(Preset::Paper) };
        let (size, pad) = (vocabulary.len(), vocabulary.pad());
        let model = config().init(size, pad, &Regularisation::none(), Key::new(1), &device());
        let key = Key::new(3);
        let objective =
            Translating::new(recipe, config(), dataset.clone(), vocabulary.clone(), 2, key, device()).unwrap();
        let id = BatchId::Train { update: 0, micro: 0 };
        let batch = objective.prepare(id).unwrap();
        let losses = objective.losses(&model, &batch.data, id).unwrap();
        let names: Vec<&str> = losses.terms.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["st/cross_entropy", "st/accuracy"], "translation has no CTC");
        assert!(losses.terms[0].1.is_finite());

        let test = objective.test(Split::TestClean);
        assert_eq!(test, dataset.split(Split::TestClean));
        let write = |ctc_weight| {
            let search = BeamConfig { ctc_weight, ..BeamConfig::attention(2) };
            objective.write(&model.valid(), &test, 2, &search, None, |_| Ok::<_, ModelError>(())).unwrap()
        };
        let written = write(0.0);
        assert_eq!(write(0.5), written, "a head that did not learn is not asked");
        for (&index, written) in test.iter().zip(&written) {
            assert_eq!((&written.id, written.reference.as_str()), (&dataset.utterance(index).id, text(index)));
        }
    }
}

#[test]
fn utterances_without_a_translation_are_left_out() {
    let mut dataset = Arc::into_inner(dataset()).unwrap();
    let mut manifest = dataset.corpus.manifest().clone();
    let first = manifest.split(Split::Train)[0];
    let missing = manifest.utterances[first].id.clone();
    manifest.utterances[first].text_de = None;
    dataset.corpus = vocable_data::corpus::Corpus::new(manifest);
    let vocabulary = Arc::new(dataset.vocabulary.clone());
    let recipe = StConfig { batch_items: 1, micro_batches: 1, ..StConfig::base(Preset::Paper) };
    let dataset = Arc::new(dataset);
    let objective = Translating::new(recipe, config(), dataset.clone(), vocabulary, 2, Key::new(3), device()).unwrap();
    let heard: Vec<String> = (0..dataset.split(Split::Train).len() - 1)
        .flat_map(|update| objective.prepare(BatchId::Train { update, micro: 0 }).unwrap().utterances)
        .collect();
    assert!(!heard.contains(&missing), "{heard:?}");
    assert_eq!(heard.len(), dataset.split(Split::Train).len() - 1);
}
