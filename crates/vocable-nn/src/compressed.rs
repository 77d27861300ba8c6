use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use vocable_kernels::Storage;

/// The same module, for inference, with the weight of every [`Linear`](crate::Linear) in it stored in fewer bits.
pub fn compressed<M: Module>(module: M, storage: Storage) -> M {
    module.map(&mut Compressor { storage, at_weight: false })
}

struct Compressor {
    storage: Storage,
    /// Whether the parameter to come is the weight of a [`Linear`](crate::Linear).
    at_weight: bool,
}

impl ModuleMapper for Compressor {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.at_weight = container == "Struct:Linear" && name == "weight";
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.at_weight = false;
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let storage = self.storage;
        if self.at_weight { param.init_mapper(move |weight| storage.store(weight)) } else { param }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{DType, Device};
    use vocable_random::Key;

    use super::*;
    use crate::{Init, LayerNorm, Linear};

    #[test]
    fn linear_weights_alone_are_stored_otherwise() {
        let device = Device::flex();
        let init = Init::new(Key::new(1), &device);
        let module = (LayerNorm::new(64, &device), vec![Linear::new(64, 3, &init)]);
        for storage in [Storage::Bf16, Storage::Int8] {
            let (norm, linears) = compressed(module.clone(), storage);
            assert_eq!(norm.weight.val().dtype(), DType::F32);
            let Linear { weight, bias, .. } = &linears[0];
            assert_eq!(bias.as_ref().unwrap().val().dtype(), DType::F32);
            match storage {
                Storage::Bf16 => assert_eq!(weight.val().dtype(), DType::BF16),
                Storage::Int8 => assert!(matches!(weight.val().dtype(), DType::QFloat(_))),
            }
        }
    }
}
