//! The tensors of a file that `torch.save` wrote (PyTorch 1.6 and later): a zip archive of one pickle, which names the
//! tensors, and of their storages.

use std::ops::Range;

use safetensors::Dtype;

use crate::pickle::{Node, Pickle, Value};
use crate::zip::{self, Entries};

/// A tensor and where its elements lie.
#[derive(Debug)]
pub(crate) struct Place {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// None where the elements lie in row-major order.
    pub strides: Option<Vec<usize>>,
    /// From the first element to behind the last.
    pub range: Range<usize>,
}

/// Keys under which programs keep a model's tensors beside other things.
const INNER: [&str; 4] = ["model", "state_dict", "generator", "module"];

/// The tensors of the first dictionary that holds any, from the outermost inwards.
pub(crate) fn places(bytes: &[u8]) -> Result<Vec<Place>, String> {
    let entries = zip::entries(bytes)?;
    let shortest = entries.keys().filter_map(|name| name.strip_suffix("data.pkl")).min_by_key(|root| root.len());
    let root = shortest.ok_or("the zip archive holds no data.pkl, so PyTorch did not write it")?;
    let archive = Archive { entries: &entries, root };
    if archive.entry("byteorder")?.is_some_and(|range| bytes[range].starts_with(b"big")) {
        return Err("it was written on a big-endian machine".into());
    }
    let pickle = Pickle::read(&bytes[archive.entry("data.pkl")?.ok_or("data.pkl is missing")?])?;
    let mut dictionary = pickle.root;
    // A pickle may refer to itself, so the way inwards has a limit.
    for _ in 0..=INNER.len() {
        let tensors = archive.tensors(&pickle, dictionary)?;
        if !tensors.is_empty() {
            return Ok(tensors);
        }
        match INNER.iter().find_map(|key| pickle.get(dictionary, key)) {
            Some(inner) => dictionary = inner,
            None => break,
        }
    }
    Err("it holds no dictionary of tensors, neither by itself nor under `model`".into())
}

struct Archive<'a> {
    entries: &'a Entries,
    root: &'a str,
}

/// A storage as a pickle declares it.
struct Storage {
    dtype: Dtype,
    /// In elements.
    length: usize,
    range: Range<usize>,
}

impl Archive<'_> {
    fn entry(&self, name: &str) -> Result<Option<Range<usize>>, String> {
        match self.entries.get(&format!("{}{name}", self.root)) {
            None => Ok(None),
            Some(Some(range)) => Ok(Some(range.clone())),
            Some(None) => Err(format!("{name} is compressed or encrypted, as PyTorch writes none")),
        }
    }

    fn tensors(&self, pickle: &Pickle, dictionary: Value) -> Result<Vec<Place>, String> {
        let mut tensors = Vec::new();
        for &(key, value) in pickle.pairs(dictionary).unwrap_or_default() {
            let (Some(name), Some(arguments)) = (pickle.text(key), tensor_arguments(pickle, value)) else { continue };
            let place = self.place(pickle, arguments).map_err(|reason| format!("tensor {name}: {reason}"))?;
            tensors.push(Place { name: name.to_owned(), ..place });
        }
        Ok(tensors)
    }

    /// The tensor that `_rebuild_tensor_v2(storage, offset, shape, strides, ..)` would make.
    fn place(&self, pickle: &Pickle, arguments: &[Value]) -> Result<Place, String> {
        let &[storage, offset, shape, strides, ..] = arguments else {
            return Err("it has too few properties".into());
        };
        let storage = self.storage(pickle, storage)?;
        let offset = length(offset).ok_or("its offset is no length")?;
        let lengths = |value| pickle.sequence(value)?.iter().map(|&value| length(value)).collect::<Option<Vec<_>>>();
        let shape = lengths(shape).ok_or("its shape is no list of lengths")?;
        let strides = lengths(strides).ok_or("its strides are no list of lengths")?;
        if shape.len() != strides.len() {
            return Err(format!("its shape {shape:?} and its strides {strides:?} have different lengths"));
        }
        let outside = || format!("a shape {shape:?} with strides {strides:?} from {offset} on exceeds its storage");
        let count = shape.iter().try_fold(1, |count: usize, &length| count.checked_mul(length)).ok_or_else(outside)?;
        // A view that repeats elements could ask for any amount of memory.
        if count > storage.length {
            return Err(outside());
        }
        let reach = shape.iter().zip(&strides).try_fold(1, |reach: usize, (&length, &stride)| {
            reach.checked_add(length.saturating_sub(1).checked_mul(stride)?)
        });
        let reach = if count == 0 { 0 } else { reach.ok_or_else(outside)? };
        let end = offset.checked_add(reach).filter(|&end| end <= storage.length).ok_or_else(outside)?;
        let size = storage.dtype.bitsize() / 8;
        Ok(Place {
            name: String::new(),
            dtype: storage.dtype,
            range: storage.range.start + offset * size..storage.range.start + end * size,
            strides: (!row_major(&shape, &strides)).then_some(strides),
            shape,
        })
    }

    /// The storage of `('storage', type, key, device, length)`.
    fn storage(&self, pickle: &Pickle, value: Value) -> Result<Storage, String> {
        let Some(Node::Persistent(id)) = pickle.node(value) else { return Err("it has no storage".into()) };
        let Some(&[_, kind, key, _, count, ..]) = pickle.sequence(*id) else {
            return Err("its storage is not described".into());
        };
        let (_, kind) = pickle.global(kind).ok_or("its storage has no type")?;
        let dtype = element_type(kind).ok_or_else(|| format!("its storage is a {kind}, which is not read here"))?;
        let key = pickle.text(key).ok_or("its storage has no name")?;
        let length = length(count).ok_or("its storage has no length")?;
        let range = self.entry(&format!("data/{key}"))?.ok_or_else(|| format!("its storage data/{key} is missing"))?;
        let declared = length.checked_mul(dtype.bitsize() / 8);
        if declared.is_none_or(|bytes| bytes > range.len()) {
            return Err(format!("its storage of {length} elements has only {} bytes", range.len()));
        }
        Ok(Storage { dtype, length, range })
    }
}

/// The arguments that would make a tensor, if `value` is one.
fn tensor_arguments<'p>(pickle: &'p Pickle, value: Value) -> Option<&'p [Value]> {
    let Node::Object(object) = pickle.node(value)? else { return None };
    let arguments = pickle.sequence(object.arguments)?;
    match pickle.global(object.callable)? {
        ("torch._utils", "_rebuild_tensor_v2") => Some(arguments),
        ("torch._utils", "_rebuild_parameter") => {
            let Node::Object(inner) = pickle.node(*arguments.first()?)? else { return None };
            (pickle.global(inner.callable)? == ("torch._utils", "_rebuild_tensor_v2")).then_some(())?;
            pickle.sequence(inner.arguments)
        }
        _ => None,
    }
}

fn element_type(storage: &str) -> Option<Dtype> {
    Some(match storage {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "LongStorage" => Dtype::I64,
        "IntStorage" => Dtype::I32,
        "ShortStorage" => Dtype::I16,
        "CharStorage" => Dtype::I8,
        "ByteStorage" => Dtype::U8,
        "BoolStorage" => Dtype::BOOL,
        _ => return None,
    })
}

fn length(value: Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// Whether the elements lie one behind the other; the stride of a dimension of length 1 says nothing.
fn row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut step = 1;
    shape.iter().zip(strides).rev().all(|(&length, &stride)| {
        let fits = length == 1 || stride == step;
        step *= length;
        fits
    })
}
