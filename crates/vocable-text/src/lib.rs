//! Text for speech models: a normaliser, character vocabularies, the infilling noise of text pre-training, and a
//! trilingual grammar from which the shipped corpus is spoken.
//!
//! ```
//! use vocable_random::Key;
//! use vocable_text::{CharVocabulary, Infilling};
//!
//! let vocabulary = CharVocabulary::from_lines(["this is a test", "and one more"]);
//! let mut tokens = vocabulary.encode("this is more");
//! assert_eq!(vocabulary.decode(&tokens), "this is more");
//!
//! tokens.insert(0, vocabulary.bos());
//! tokens.push(vocabulary.eos());
//! let noised = Infilling::new(&vocabulary).infill(&tokens, Key::new(1).fold(0_u64));
//! assert!(noised.contains(&vocabulary.mask()));
//! ```

mod error;
mod files;
pub mod grammar;
mod infilling;
pub mod mini;
mod normalise;
mod numbers;
mod sentencepiece;
mod subwords;
mod tokenizer;
mod vocabulary;

pub use error::TextError;
pub use grammar::spell_number;
pub use infilling::Infilling;
pub use normalise::{normalise, normalise_spelling};
pub use numbers::spell_numbers;
pub use sentencepiece::{CharModel, Encoded, UnigramModel};
pub use subwords::{SubwordKind, Subwords};
pub use tokenizer::Tokenizer;
pub use vocabulary::{CharVocabulary, Vocabulary};
