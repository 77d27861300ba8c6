//! The tokenizer of a published model: a character model and the tokens added behind it.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::files;
use crate::sentencepiece::{CharModel, Encoded, SPACE};
use crate::{CharVocabulary, TextError};

/// Names of the files of a folder.
const MODEL: &str = "spm_char.model";
const ADDED: &str = "added_tokens.json";
const SETTINGS: &str = "tokenizer_config.json";
/// Identifiers behind the model's that tokens may be added under; published models add two.
const ROOM: usize = 1 << 16;

/// Texts into identifiers and back, as transformers' `SpeechT5Tokenizer` does (spec section 3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Tokenizer {
    model: CharModel,
    /// Tokens behind the model's pieces, such as `<mask>`, by identifier.
    added: BTreeMap<u32, String>,
}

impl Tokenizer {
    /// Reads `spm_char.model` and, if it is there, `added_tokens.json` of a model's folder.
    ///
    /// # Errors
    /// A file that cannot be read, is of another kind, gives an identifier twice, or one far behind all others.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, TextError> {
        let folder = folder.as_ref();
        let model = CharModel::read(folder.join(MODEL))?;
        let path = folder.join(ADDED);
        let mut added = BTreeMap::new();
        if path.exists() {
            let text = files::read(&path)?;
            let wrong = |reason: String| TextError::Pieces { what: path.display().to_string(), reason };
            let tokens: BTreeMap<String, u32> =
                serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
            for (token, id) in tokens {
                // A token that the model has already keeps its identifier.
                if model.id(&token) == Some(id) {
                    continue;
                }
                if (id as usize) < model.len() || model.id(&token).is_some() {
                    return Err(wrong(format!("`{token}` as {id} contradicts {MODEL}")));
                }
                // All before it have a place in a table.
                if id as usize - model.len() >= ROOM {
                    return Err(wrong(format!(
                        "`{token}` as {id} is far behind {MODEL}, which ends at {}",
                        model.len()
                    )));
                }
                if let Some(other) = added.insert(id, token.clone()) {
                    return Err(wrong(format!("`{other}` and `{token}` are both {id}")));
                }
            }
        }
        Ok(Self { model, added })
    }

    /// Writes `spm_char.model`, `added_tokens.json` and `tokenizer_config.json` into an existing folder.
    ///
    /// # Errors
    /// A folder that cannot be written.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), TextError> {
        let folder = folder.as_ref();
        self.model.write(folder.join(MODEL))?;
        let tokens: serde_json::Map<String, Value> =
            self.added.iter().map(|(id, token)| (token.clone(), (*id).into())).collect();
        let json = |name: &str, value: Value| {
            let (path, text) = (folder.join(name), format!("{value:#}\n"));
            files::write(&path, text)
        };
        json(ADDED, Value::Object(tokens))?;
        json(SETTINGS, self.settings())
    }

    /// What transformers wants to know of a tokenizer.
    fn settings(&self) -> Value {
        let token = |text: &str| {
            json!({
                "content": text, "lstrip": false, "normalized": false, "rstrip": false, "single_word": false,
                "special": true,
            })
        };
        let named = ["<s>", "<pad>", "</s>", "<unk>"].into_iter().filter_map(|text| Some((self.model.id(text)?, text)));
        let all = named.chain(self.added.iter().map(|(id, text)| (*id, text.as_str())));
        let decoder: serde_json::Map<String, Value> = all.map(|(id, text)| (id.to_string(), token(text))).collect();
        json!({
            "added_tokens_decoder": decoder,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<pad>",
            "model_max_length": 1_000_000_000_000_000_000_u64,
            "normalize": false,
            "sp_model_kwargs": {},
            "tokenizer_class": "SpeechT5Tokenizer",
        })
    }

    /// The character model.
    pub fn model(&self) -> &CharModel {
        &self.model
    }

    /// How many identifiers there are: one above the largest.
    #[allow(clippy::len_without_is_empty, reason = "a model has at least the piece for unknown characters")]
    pub fn len(&self) -> usize {
        self.added.last_key_value().map_or(self.model.len(), |(id, _)| *id as usize + 1)
    }

    /// The spellings of all identifiers, in their order: pieces, then added tokens; empty where no token has one.
    pub fn spellings(&self) -> Vec<&str> {
        let added =
            (self.model.len() as u32..self.len() as u32).map(|id| self.added.get(&id).map_or("", String::as_str));
        self.model.pieces().chain(added).collect()
    }

    /// The identifier of a piece or an added token.
    pub fn id(&self, token: &str) -> Option<u32> {
        let added = || self.added.iter().find(|(_, text)| *text == token).map(|(id, _)| *id);
        self.model.id(token).or_else(added)
    }

    /// Identifiers of a text, without `<s>` and `</s>`, and the characters that it is not known how to write.
    pub fn encode(&self, text: &str) -> Encoded {
        self.model.encode(text)
    }

    /// The text of identifiers: pieces side by side, `▁` as a space, ends stripped. Special and added tokens, and
    /// identifiers that nothing has, are left out.
    pub fn decode(&self, ids: &[u32]) -> String {
        let pieces: Vec<&str> = self.model.pieces().collect();
        let text = ids.iter().filter(|&&id| (id as usize) < pieces.len() && self.model.is_text(id));
        let text: String = text.map(|&id| pieces[id as usize]).collect();
        text.replace(SPACE, " ").trim().to_owned()
    }

    /// The same with more characters: their pieces come behind the model's, and the added tokens move up behind them.
    ///
    /// Also returns the identifier that every new identifier had before, none for the new characters.
    ///
    /// # Errors
    /// A character that is known already, is a space, or never occurs in a normalised text.
    pub fn extended(&self, characters: &[char]) -> Result<(Self, Vec<Option<u32>>), TextError> {
        let model = self.model.extended(characters.iter().copied())?;
        let (old, new) = (self.model.len() as u32, characters.len() as u32);
        let added = self.added.iter().map(|(id, token)| (id + new, token.clone())).collect();
        let before =
            (0..old).map(Some).chain((0..new).map(|_| None)).chain((old..self.len() as u32).map(Some)).collect();
        Ok((Self { model, added }, before))
    }
}

impl From<&CharVocabulary> for Tokenizer {
    fn from(vocabulary: &CharVocabulary) -> Self {
        let model = CharModel::new(vocabulary.characters()).expect("a vocabulary has each character once");
        let last = vocabulary.pieces()[model.len()..].iter().cloned();
        Self { added: (model.len() as u32..).zip(last).collect(), model }
    }
}
