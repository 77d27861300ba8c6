//! Scores of `fixtures/bleu`, which sacrebleu gave (`fixtures/reference/make_bleu.py`).

use serde_json::Value;
use vocable_metrics::bleu;

#[test]
fn scores_are_sacrebleus() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/bleu/cases.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(cases.len(), 40);
    for case in cases {
        let texts = |key: &str| -> Vec<&str> {
            case[key].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
        };
        let found = bleu(&texts("references"), &texts("hypotheses")).unwrap();
        let expected = case["bleu"].as_f64().unwrap();
        // Both are sums of a few logarithms in double precision.
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}: {case}");
    }
}

#[test]
fn no_texts_have_no_score() {
    assert_eq!(bleu(&[] as &[&str], &[] as &[&str]), None);
    assert_eq!(bleu(&["a b c d e"], &["x y z v w"]), Some(0.0));
}
