//! How large a run is: a transform of the configuration, never another recipe.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::ConfigError;

/// The size of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// A few minutes for a whole table: shows that everything works.
    #[default]
    Smoke,
    /// Under an hour for a row on two cores: small models that learn.
    Mini,
    /// The paper's sizes, on accelerators.
    Base,
}

impl Scale {
    /// All scales, smallest first.
    pub const ALL: [Self; 3] = [Self::Smoke, Self::Mini, Self::Base];

    /// The scale's name as it is written on the command line and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smoke => "smoke",
            Self::Mini => "mini",
            Self::Base => "base",
        }
    }
}

impl fmt::Display for Scale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scale {
    type Err = ConfigError;

    fn from_str(name: &str) -> Result<Self, ConfigError> {
        Self::ALL.into_iter().find(|scale| scale.name() == name).ok_or_else(|| ConfigError::Name {
            what: "scale",
            name: name.to_owned(),
            valid: Self::ALL.map(Self::name).join(", "),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_an_unknown_one_lists_the_valid_ones() {
        for scale in Scale::ALL {
            assert_eq!(scale.to_string().parse::<Scale>().unwrap(), scale);
        }
        let error = "huge".parse::<Scale>().unwrap_err().to_string();
        assert_eq!(error, "unknown scale `huge`; valid: smoke, mini, base");
    }
}
