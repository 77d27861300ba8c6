use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use vocable_weights::read_settings;

use crate::LmError;

/// The tokens of a language model by their identifiers: any spellings, `<pad>`, `</s>` and `<unk>` among them.
///
/// As JSON it is the list of the spellings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Dictionary {
    spellings: Vec<String>,
    ids: HashMap<String, u32>,
}

/// What fairseq puts before the lines of every dictionary.
const FIRST: [&str; 4] = ["<s>", "<pad>", "</s>", "<unk>"];
const PAD: &str = "<pad>";
const END: &str = "</s>";
const UNKNOWN: &str = "<unk>";

impl Dictionary {
    /// Reads fairseq's `dict.txt`: a token and its count a line; the first four tokens are not in it.
    ///
    /// # Errors
    /// A file that cannot be read, or has a token twice.
    pub fn read(path: &Path) -> Result<Self, LmError> {
        let wrong = |message: String| LmError::Invalid { path: path.into(), message };
        let text = read_settings(path)?;
        let listed = text.lines().filter(|line| !line.is_empty()).map(|line| {
            let line = line.trim_end().trim_end_matches(" #fairseq:overwrite");
            line.rsplit_once(' ').map_or(line, |(token, _)| token).to_owned()
        });
        let spellings: Vec<String> = FIRST.map(String::from).into_iter().chain(listed).collect();
        Self::try_from(spellings).map_err(wrong)
    }

    /// The spellings by identifier.
    pub fn spellings(&self) -> &[String] {
        &self.spellings
    }

    /// How many tokens there are.
    #[allow(clippy::len_without_is_empty, reason = "three tokens are always there")]
    pub fn len(&self) -> usize {
        self.spellings.len()
    }

    /// The identifier of a spelling.
    pub fn id(&self, spelling: &str) -> Option<u32> {
        self.ids.get(spelling).copied()
    }

    /// `<pad>`.
    pub fn pad(&self) -> u32 {
        self.ids[PAD]
    }

    /// `<unk>`.
    pub fn unknown(&self) -> u32 {
        self.ids[UNKNOWN]
    }
}

impl TryFrom<Vec<String>> for Dictionary {
    type Error = String;

    fn try_from(spellings: Vec<String>) -> Result<Self, String> {
        let mut ids = HashMap::with_capacity(spellings.len());
        for (id, spelling) in (0_u32..).zip(&spellings) {
            if let Some(other) = ids.insert(spelling.clone(), id) {
                return Err(format!("`{spelling}` is token {other} and token {id}"));
            }
        }
        match [PAD, END, UNKNOWN].into_iter().find(|needed| !ids.contains_key(*needed)) {
            Some(missing) => Err(format!("the token {missing} is missing")),
            None => Ok(Self { spellings, ids }),
        }
    }
}

impl From<Dictionary> for Vec<String> {
    fn from(dictionary: Dictionary) -> Self {
        dictionary.spellings
    }
}
