//! Scores of `fixtures/bleu`, which sacrebleu gave (`fixtures/reference/make_bleu.py`).

use serde_json::Value;
use vocable_metrics::{BleuCounts, Bootstrap, bleu};
use vocable_random::Key;

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

#[test]
fn an_interval_of_bleu_surrounds_it_and_repeats() {
    let references: Vec<String> = (0..40).map(|n| format!("the number {n} is what the sentence says today")).collect();
    let hypotheses: Vec<String> =
        (0..40).map(|n| if n % 3 == 0 { format!("number {n} was said") } else { references[n].clone() }).collect();
    let pairs = references.iter().zip(&hypotheses);
    let counts: Vec<BleuCounts> = pairs.map(|(reference, said)| BleuCounts::of(reference, said)).collect();
    let value = bleu(&references, &hypotheses).unwrap();
    let interval = Bootstrap::new(Key::new(1)).interval(&counts[..]).unwrap();
    assert!(interval.low < value && value < interval.high, "{value} is not in {interval:?}");
    assert!(interval.high - interval.low < 40.0, "{interval:?}");
    assert_eq!(Bootstrap::new(Key::new(1)).interval(&counts[..]), Some(interval));
    assert_eq!(Bootstrap::new(Key::new(1)).interval(&counts[..0]), None);
}

/// Two systems that fail equally often cannot be told apart, one that fails less often can.
#[test]
fn systems_are_compared_by_bleu_text_by_text() {
    let system = |fails: fn(usize) -> bool| -> Vec<BleuCounts> {
        let reference = |n| format!("the number {n} is what the sentence says today");
        let said = |n| if fails(n) { format!("number {n} was said") } else { reference(n) };
        (0..60).map(|n| BleuCounts::of(&reference(n), &said(n))).collect()
    };
    let [third, other_third, sixth] = [system(|n| n % 3 == 0), system(|n| n % 3 == 1), system(|n| n % 6 == 0)];
    let p = |a: &[BleuCounts], b: &[BleuCounts]| Bootstrap::new(Key::new(1)).difference(&[a], &[b]).unwrap();
    assert!(p(&third, &other_third) > 0.5);
    // Ten of sixty texts are better and none is worse: by the sign test p = 2 · 0.5¹⁰.
    assert!(p(&third, &sixth) < 0.01);
}
