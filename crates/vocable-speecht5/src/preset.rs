use serde::{Deserialize, Serialize};

/// Which source rules where paper, official code and transformers differ (the difference tables of spec section 1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// The paper.
    #[default]
    Paper,
    /// The official fairseq code.
    Official,
    /// Hugging Face transformers.
    Hf,
}
