//! Dropout whose mask is a hash of the element's position.

use vocable_random::{Key, hash32};

use super::Kernel;
use super::attention::rows;
use super::buffer::{Array, Parts};
use super::level::{Level, vectorised};

/// Which elements survive, and what they are multiplied by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    pub(crate) level: Level,
    seed: u64,
    /// A hash below this drops its element.
    threshold: u32,
    scale: f32,
}

impl Dropout {
    pub(crate) fn new(level: Level, probability: f64, key: Key) -> Self {
        Self {
            level,
            seed: key.seed(),
            threshold: (probability * 4_294_967_296.0) as u32,
            scale: (1.0 / (1.0 - probability)) as f32,
        }
    }

    /// What the element at row-major position `index` (modulo 2³²) is multiplied by.
    #[inline(always)]
    pub(crate) fn factor(&self, index: u32) -> f32 {
        if hash32(self.seed, index) < self.threshold { 0.0 } else { self.scale }
    }

    /// Applies the mask to the elements from position `start` on.
    pub(crate) fn apply(&self, start: usize, values: &mut [f32]) {
        apply(self.level, self, start, values);
    }
}

impl Kernel<1> for Dropout {
    type Saved = ();

    fn forward(&self, [x]: [Array; 1]) -> (Array, ()) {
        (self.masked(x), ())
    }

    fn backward(&self, (): (), gradient: Array, _: [bool; 1]) -> [Option<Array>; 1] {
        [Some(self.masked(gradient))]
    }
}

impl Dropout {
    fn masked(&self, array: Array) -> Array {
        let parts = Parts::rows(array.values().len(), 1);
        array.rewrite(parts, |start, part| self.apply(start, part)).0
    }
}

/// x + dropout(y), or x + y.
#[derive(Clone, Debug)]
pub(crate) struct DropoutAdd {
    pub(crate) level: Level,
    pub(crate) dropout: Option<Dropout>,
}

impl Kernel<2> for DropoutAdd {
    type Saved = ();

    fn forward(&self, [x, y]: [Array; 2]) -> (Array, ()) {
        let x = x.values();
        let rewrite = |start: usize, y: &mut [f32]| {
            if let Some(dropout) = &self.dropout {
                dropout.apply(start, y);
            }
            rows::add(self.level, &x[start..], y);
        };
        (y.rewrite(Parts::rows(x.len(), 1), rewrite).0, ())
    }

    fn backward(&self, (): (), gradient: Array, [x, y]: [bool; 2]) -> [Option<Array>; 2] {
        let dropped = |gradient: Array| match &self.dropout {
            Some(dropout) => dropout.masked(gradient),
            None => gradient,
        };
        [x.then(|| gradient.clone()), y.then(|| dropped(gradient))]
    }
}

vectorised! {
    fn apply<const FMA>(dropout: &Dropout, start: usize, values: &mut [f32]) {
        let mut index = start as u32;
        for value in values {
            *value *= dropout.factor(index);
            index = index.wrapping_add(1);
        }
    }
}
