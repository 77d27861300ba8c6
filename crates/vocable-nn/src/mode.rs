use vocable_random::{Branch, Key};

/// Whether a forward pass trains, and with which random key.
///
/// A module folds its children's names into the mode before it passes it on, so every dropout of a model draws from
/// its own stream.
#[derive(Clone, Copy, Debug)]
pub enum Mode {
    /// No dropout, running statistics, no layer drop.
    Eval,
    /// Dropout and layer drop drawn from the key, batch statistics.
    Train(Key),
}

impl From<Option<Key>> for Mode {
    /// Training with a key, evaluation without.
    fn from(key: Option<Key>) -> Self {
        key.map_or(Self::Eval, Self::Train)
    }
}

impl Mode {
    /// The mode of a child called `branch`.
    #[must_use]
    pub fn fold(self, branch: impl Branch) -> Self {
        match self {
            Self::Eval => Self::Eval,
            Self::Train(key) => Self::Train(key.fold(branch)),
        }
    }

    /// The random key of a training pass, `None` in evaluation.
    pub fn key(self) -> Option<Key> {
        match self {
            Self::Eval => None,
            Self::Train(key) => Some(key),
        }
    }

    /// True in a training pass.
    pub fn is_train(self) -> bool {
        matches!(self, Self::Train(_))
    }

    /// True with the given probability in training, never in evaluation: the draw of LayerDrop.
    pub fn coin(self, probability: f64) -> bool {
        self.key().is_some_and(|key| probability > 0.0 && rand::RngExt::random_bool(&mut key.rng(), probability))
    }
}
