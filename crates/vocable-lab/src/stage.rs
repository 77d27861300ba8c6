//! A stage: one resumable piece of work, known by what determines its result.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config;
use crate::stage_run::StageRun;

/// What a stage is expected to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Parameter updates (or other steps); 0 if it does not go in steps.
    pub steps: u64,
    /// Parameters of the model it trains or uses; 0 if none.
    pub parameters: u64,
    /// Estimated wall time in seconds on this machine.
    pub seconds: f64,
}

/// What a stage does when it runs.
type Body = dyn Fn(&StageRun) -> anyhow::Result<()> + Send + Sync;

/// One resumable piece of work as a value.
///
/// Its identity is the SHA-256 over its kind, its code contract, its resolved configuration and its inputs'
/// identities, and nothing else: data from outside must enter through the configuration (as a hash of the files).
pub struct Stage {
    kind: String,
    contract: u32,
    config: Value,
    inputs: Vec<(&'static str, Arc<Self>)>,
    cost: Cost,
    identity: String,
    body: Box<Body>,
}

impl Stage {
    /// Starts a stage of a kind (`pretrain`), with the settings that determine its result and the version of the code's
    /// contract: raise `contract` when a change of code changes results, so that old ones are not reused.
    // The builder ends in `run`, which makes the stage: a stage without a body or with inputs still to come has no identity.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(kind: impl Into<String>, contract: u32, config: impl Serialize) -> StageBuilder {
        let config = config::tree(&config);
        StageBuilder { kind: kind.into(), contract, config, inputs: Vec::new(), cost: Cost::default() }
    }

    /// The kind of work.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The version of the code contract.
    pub fn contract(&self) -> u32 {
        self.contract
    }

    /// The resolved settings of this stage.
    pub fn config(&self) -> &Value {
        &self.config
    }

    /// The stages whose outputs this one reads, by the name it knows them by.
    pub fn inputs(&self) -> &[(&'static str, Arc<Self>)] {
        &self.inputs
    }

    /// The expected cost.
    pub fn cost(&self) -> Cost {
        self.cost
    }

    /// 64 hexadecimal digits that stand for everything that determines the result.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The name of its directory: `<kind>-<first 8 digits of the identity>`.
    pub fn name(&self) -> String {
        format!("{}-{}", self.kind, &self.identity[..8])
    }

    /// Does the work.
    pub(crate) fn body(&self, run: &StageRun) -> anyhow::Result<()> {
        (self.body)(run)
    }
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("name", &self.name()).field("config", &self.config).finish_non_exhaustive()
    }
}

/// A stage without its body yet; see [`Stage::new`].
#[must_use = "a stage is made by `run`"]
pub struct StageBuilder {
    kind: String,
    contract: u32,
    config: Value,
    inputs: Vec<(&'static str, Arc<Stage>)>,
    cost: Cost,
}

impl StageBuilder {
    /// Adds a stage whose outputs this one reads, under the name by which [`StageRun::input`] finds it.
    ///
    /// # Panics
    /// If the name is taken.
    pub fn input(mut self, name: &'static str, stage: &Arc<Stage>) -> Self {
        let taken = self.inputs.iter().any(|(other, _)| *other == name);
        assert!(!taken, "stage {} has two inputs named {name}", self.kind);
        self.inputs.push((name, Arc::clone(stage)));
        self
    }

    /// The same of a stage that there may be; its body asks with [`StageRun::input_if_any`].
    pub fn input_if_any(self, name: &'static str, stage: Option<&Arc<Stage>>) -> Self {
        match stage {
            Some(stage) => self.input(name, stage),
            None => self,
        }
    }

    /// Says what it is expected to cost; no part of the identity.
    pub fn cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// Gives the stage its body and makes it.
    ///
    /// The body must bring about the same outputs whether it runs at once or is killed and run again in the same
    /// directory: it resumes from [`StageRun::checkpoints`] or starts over. When [`StageRun::interrupted`] turns true
    /// it saves what it needs and returns [`crate::Interrupted`].
    pub fn run(self, body: impl Fn(&StageRun) -> anyhow::Result<()> + Send + Sync + 'static) -> Arc<Stage> {
        let Self { kind, contract, config, inputs, cost } = self;
        let input_identities: Value = inputs.iter().map(|(name, stage)| (*name, stage.identity())).collect();
        let identity =
            config::hash(&json!({ "kind": kind, "contract": contract, "config": config, "inputs": input_identities }));
        Arc::new(Stage { kind, contract, config, inputs, cost, identity, body: Box::new(body) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(kind: &'static str, contract: u32, config: i32, inputs: &[(&'static str, &Arc<Stage>)]) -> Arc<Stage> {
        inputs.iter().fold(Stage::new(kind, contract, config), |b, (n, s)| b.input(n, s)).run(|_| Ok(()))
    }

    #[test]
    fn the_identity_follows_kind_contract_config_and_inputs_only() {
        let (a, b) = (stage("a", 1, 1, &[]), stage("a", 1, 2, &[]));
        let same = Stage::new("a", 1, 1).cost(Cost { steps: 9, ..Cost::default() }).run(|_| anyhow::bail!("no"));
        assert_eq!(a.identity(), same.identity());
        assert_eq!(a.identity().len(), 64);
        assert_eq!(a.name(), format!("a-{}", &a.identity()[..8]));
        let mut identities = vec![
            a.identity().to_owned(),
            b.identity().to_owned(),
            stage("b", 1, 1, &[]).identity().to_owned(),
            stage("a", 2, 1, &[]).identity().to_owned(),
            stage("a", 1, 1, &[("x", &a)]).identity().to_owned(),
            stage("a", 1, 1, &[("x", &b)]).identity().to_owned(),
            stage("a", 1, 1, &[("y", &a)]).identity().to_owned(),
            stage("a", 1, 1, &[("x", &a), ("y", &b)]).identity().to_owned(),
        ];
        // The order in which inputs are named does not matter.
        assert_eq!(identities[7], stage("a", 1, 1, &[("y", &b), ("x", &a)]).identity());
        identities.sort();
        identities.dedup();
        assert_eq!(identities.len(), 8);
    }
}
