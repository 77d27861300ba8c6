//! Numbers of scikit-learn (fixtures/eer).

use vocable_metrics::equal_error_rate;

#[test]
fn equal_error_rates_are_scikit_learns() {
    let text = include_str!("../../../fixtures/eer/cases.json");
    let cases: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    assert_eq!(cases.len(), 60);
    for case in cases {
        let scores: Vec<f32> = serde_json::from_value(case["scores"].clone()).unwrap();
        let same: Vec<bool> = serde_json::from_value(case["same"].clone()).unwrap();
        let (found, expected) = (equal_error_rate(&scores, &same).unwrap(), case["eer"].as_f64().unwrap());
        // Theirs is found by halving intervals.
        assert!((found - expected).abs() < 1e-9, "{found} {expected}: {case}");
    }
}
