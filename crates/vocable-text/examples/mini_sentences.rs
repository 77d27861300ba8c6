//! Prints the recordings of the shipped corpus as JSON lines, for `corpora/mini/make.py`.
use serde_json::json;

fn main() {
    for utterance in vocable_text::mini::plan() {
        let sentence = utterance.sentence;
        println!(
            "{}",
            json!({
                "id": utterance.id,
                "speaker": utterance.speaker,
                "text": sentence.en,
                "text_de": sentence.de,
                "text_fr": sentence.fr,
                "split": utterance.split,
            })
        );
    }
}
