//! The pickle that makes a dictionary of tensors out of the storages beside it.

use safetensors::View;

use crate::pytorch::STORAGES;

/// Opcodes of pickle's protocol 2.
mod code {
    pub(super) const PROTOCOL_2: &[u8] = b"\x80\x02";
    pub(super) const EMPTY_DICT: u8 = b'}';
    pub(super) const MARK: u8 = b'(';
    pub(super) const SET_ITEMS: u8 = b'u';
    pub(super) const TUPLE: u8 = b't';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const PERSISTENT_ID: u8 = b'Q';
    pub(super) const FALSE: u8 = b'\x89';
    pub(super) const GLOBAL: u8 = b'c';
    pub(super) const TEXT: u8 = b'X';
    pub(super) const INTEGER: u8 = b'J';
    pub(super) const LONG: u8 = b'\x8a';
    pub(super) const STOP: u8 = b'.';
}

/// A dictionary whose tensor number n has all of storage `n`, as the value of `key` in another one if there is a key.
pub(crate) fn dictionary<T: View>(key: Option<&str>, tensors: &[(String, T)]) -> Result<Vec<u8>, String> {
    let mut program = Program(code::PROTOCOL_2.to_vec());
    program.push(&[code::EMPTY_DICT, code::MARK]);
    if let Some(key) = key {
        program.text(key);
        program.push(&[code::EMPTY_DICT, code::MARK]);
    }
    for (number, (name, tensor)) in tensors.iter().enumerate() {
        program.text(name);
        program.tensor(number, tensor).map_err(|reason| format!("tensor {name}: {reason}"))?;
    }
    if key.is_some() {
        program.push(&[code::SET_ITEMS]);
    }
    program.push(&[code::SET_ITEMS, code::STOP]);
    Ok(program.0)
}

struct Program(Vec<u8>);

impl Program {
    fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.push(&[code::TEXT]);
        self.push(&(text.len() as u32).to_le_bytes());
        self.push(text.as_bytes());
    }

    fn number(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(number) => {
                self.push(&[code::INTEGER]);
                self.push(&number.to_le_bytes());
            }
            Err(_) => {
                self.push(&[code::LONG, 8]);
                self.push(&(number as u64).to_le_bytes());
            }
        }
    }

    fn global(&mut self, module: &str, name: &str) {
        self.push(&[code::GLOBAL]);
        self.push(format!("{module}\n{name}\n").as_bytes());
    }

    fn numbers(&mut self, numbers: &[usize]) {
        self.push(&[code::MARK]);
        numbers.iter().for_each(|&number| self.number(number));
        self.push(&[code::TUPLE]);
    }

    /// `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())`.
    fn tensor(&mut self, number: usize, tensor: &impl View) -> Result<(), String> {
        let (dtype, shape) = (tensor.dtype(), tensor.shape());
        let storage = STORAGES.into_iter().find(|(_, known)| *known == dtype);
        let (storage, _) = storage.ok_or_else(|| format!("PyTorch has no storage of {dtype:?}"))?;
        let mut strides = vec![1; shape.len()];
        for n in (1..shape.len()).rev() {
            strides[n - 1] = strides[n] * shape[n];
        }
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.push(&[code::MARK, code::MARK]);
        self.text("storage");
        self.global("torch", storage);
        self.text(&number.to_string());
        self.text("cpu");
        self.number(shape.iter().product());
        self.push(&[code::TUPLE, code::PERSISTENT_ID]);
        self.number(0);
        self.numbers(shape);
        self.numbers(&strides);
        self.push(&[code::FALSE]);
        self.global("collections", "OrderedDict");
        self.push(&[code::EMPTY_TUPLE, code::REDUCE, code::TUPLE, code::REDUCE]);
        Ok(())
    }
}
