//! The valid key that a misspelt one most likely meant.

use serde_json::Value;

use crate::config::join;

/// The dotted path in `tree` whose spelling is closest to `path`; siblings of the misspelt key come first.
pub fn nearest(tree: &Value, path: &[String]) -> String {
    let mut candidates = Vec::new();
    collect(tree, String::new(), &mut candidates);
    let given = path.join(".");
    let last = path.last().map_or("", String::as_str);
    candidates
        .into_iter()
        .min_by_key(|candidate| {
            // A right name in the wrong place is nearer than a wrong name of similar length, but only just.
            let name = candidate.rsplit('.').next().unwrap_or(candidate);
            let whole = strsim::osa_distance(&given, candidate);
            (whole.min(strsim::osa_distance(last, name) + 1), whole)
        })
        .unwrap_or_default()
}

fn collect(tree: &Value, path: String, candidates: &mut Vec<String>) {
    if let Value::Object(map) = tree {
        for (key, value) in map {
            let path = join(&path, key);
            candidates.push(path.clone());
            collect(value, path, candidates);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str) -> String {
        let tree = serde_json::json!({
            "seed": 1,
            "pretrain": { "steps": 1, "learning_rate": 0.1, "speech": null },
            "finetune": { "steps": 2, "freeze": 3 },
        });
        nearest(&tree, &path.split('.').map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn the_nearest_key_is_the_one_meant() {
        assert_eq!(find("pretrain.stpes"), "pretrain.steps");
        assert_eq!(find("finetune.stpes"), "finetune.steps");
        assert_eq!(find("pretrian.steps"), "pretrain.steps");
        assert_eq!(find("learning_rate"), "pretrain.learning_rate");
        assert_eq!(find("sed"), "seed");
        assert_eq!(find("speach"), "pretrain.speech");
    }
}
