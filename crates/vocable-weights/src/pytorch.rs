//! The tensors of a file that `torch.save` wrote: a pickle, which names the tensors, and their storages. Since PyTorch 1.6
//! they are entries of a zip archive; before, they followed each other.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use safetensors::Dtype;

use crate::pickle::{Node, Pickle, Value};
use crate::zipped;

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

/// Dimensions that a tensor may have, as in PyTorch and NumPy.
const DIMENSIONS: usize = 64;

/// Keys under which programs keep a model's tensors beside other things.
const INNER: [&str; 4] = ["model", "state_dict", "generator", "module"];

/// The first value of a file before PyTorch 1.6, and the version behind it.
pub(crate) const OLD_MAGIC: &[u8] = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.";
const OLD_VERSION: i64 = 1001;

/// The entries of a zip archive, and the folder in it that PyTorch's are in.
struct Zipped {
    entries: zipped::Entries,
    root: String,
}

impl Zipped {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let entries = zipped::entries(bytes)?;
        let shortest = entries.keys().filter_map(|name| name.strip_suffix("data.pkl")).min_by_key(|root| root.len());
        let root = shortest.ok_or("the zip archive holds no data.pkl, so PyTorch did not write it")?.to_owned();
        Ok(Self { entries, root })
    }

    fn entry(&self, name: &str) -> Result<Option<Range<usize>>, String> {
        match self.entries.get(&format!("{}{name}", self.root)) {
            None => Ok(None),
            Some(Some(range)) => Ok(Some(range.clone())),
            Some(None) => Err(format!("{name} is compressed or encrypted, as PyTorch writes none")),
        }
    }

    fn content<'a>(&self, bytes: &'a [u8]) -> Result<Pickle<'a>, String> {
        Pickle::read(&bytes[self.entry("data.pkl")?.ok_or("data.pkl is missing")?])
    }
}

/// The tensors of a zip archive.
pub(crate) fn places(bytes: &[u8]) -> Result<Vec<Place>, String> {
    let zipped = Zipped::read(bytes)?;
    if zipped.entry("byteorder")?.is_some_and(|range| bytes[range].starts_with(b"big")) {
        return Err("it was written on a big-endian machine".into());
    }
    most_tensors(&zipped.content(bytes)?, &|key| zipped.entry(&format!("data/{key}")))
}

/// The first plain value under a key of any dictionary of a zip archive.
pub(crate) fn setting(bytes: &[u8], key: &str) -> Option<serde_json::Value> {
    let pickle = Zipped::read(bytes).and_then(|zipped| zipped.content(bytes)).ok()?;
    let value = pickle.plain(key)?;
    Some(match value {
        Value::Bool(switch) => switch.into(),
        Value::Int(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::None | Value::Node(_) => pickle.text(value)?.into(),
    })
}

/// The tensors of a file before PyTorch 1.6: pickles of the magic number, a version, the machine, the content and the
/// storages' names, then each storage's length and elements.
pub(crate) fn old_places(bytes: &[u8]) -> Result<Vec<Place>, String> {
    let mut at = OLD_MAGIC.len();
    let mut next = || {
        let pickle = Pickle::read(&bytes[at..])?;
        at += pickle.length;
        Ok::<_, String>((pickle, at))
    };
    if next()?.0.root != Value::Int(OLD_VERSION) {
        return Err("it is of an unknown version of PyTorch's old format".into());
    }
    let machine = next()?.0;
    if machine.get(machine.root, "little_endian") != Some(Value::Bool(true)) {
        return Err("it was written on a big-endian machine".into());
    }
    let content = next()?.0;
    let (names, mut at) = next()?;
    let sizes: HashMap<&str, usize> = content
        .persistent()
        .filter_map(|id| match content.sequence(id)? {
            &[_, kind, key, ..] => Some((content.text(key)?, element_type(content.global(kind)?.1)?.bitsize() / 8)),
            _ => None,
        })
        .collect();
    let mut storages = HashMap::new();
    for &name in names.sequence(names.root).ok_or("the names of its storages are missing")? {
        let name = names.text(name).ok_or("a storage has no name")?;
        let short = || format!("storage {name} is cut short");
        let count = bytes.get(at..at + 8).ok_or_else(short)?;
        let count = u64::from_le_bytes(count.try_into().expect("eight bytes"));
        let size = sizes.get(name).ok_or_else(|| format!("storage {name} has no type"))?;
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(*size)).ok_or_else(short)?;
        let range = at + 8..(at + 8).checked_add(length).ok_or_else(short)?;
        at = range.end;
        bytes.get(range.clone()).ok_or_else(short)?;
        storages.insert(name, range);
    }
    most_tensors(&content, &|key| Ok(storages.get(key).cloned()))
}

/// Where the storage of a name lies, if there is one.
type Find<'f> = dyn Fn(&str) -> Result<Option<Range<usize>>, String> + 'f;

/// The tensors of the dictionary with the most, of the outermost and those inside it; or the one tensor that a file is.
fn most_tensors(pickle: &Pickle, find: &Find) -> Result<Vec<Place>, String> {
    let archive = Archive { pickle, find };
    if let Some(arguments) = tensor_arguments(pickle, pickle.root) {
        return Ok(vec![archive.place(arguments)?]);
    }
    let (mut dictionary, mut most) = (pickle.root, Vec::new());
    // A pickle may refer to itself, so the way inwards has a limit.
    for _ in 0..=INNER.len() {
        let tensors = archive.tensors(dictionary)?;
        // A counter beside a model may be a tensor too.
        if tensors.len() > most.len() {
            most = tensors;
        }
        match INNER.iter().find_map(|key| pickle.get(dictionary, key)) {
            Some(inner) => dictionary = inner,
            None => break,
        }
    }
    match most.is_empty() {
        true => Err("it holds no dictionary of tensors, neither by itself nor under `model`".into()),
        false => Ok(most),
    }
}

struct Archive<'a> {
    pickle: &'a Pickle<'a>,
    find: &'a Find<'a>,
}

/// A storage as a pickle declares it.
struct Storage {
    dtype: Dtype,
    /// In elements.
    length: usize,
    range: Range<usize>,
}

impl Archive<'_> {
    fn tensors(&self, dictionary: Value) -> Result<Vec<Place>, String> {
        let (pickle, mut tensors, mut seen) = (self.pickle, Vec::new(), HashSet::new());
        // Of two tensors of one name the last counts, as in Python.
        for &(key, value) in pickle.pairs(dictionary).unwrap_or_default().iter().rev() {
            let (Some(name), Some(arguments)) = (pickle.text(key), tensor_arguments(pickle, value)) else { continue };
            if seen.insert(name) {
                let place = self.place(arguments).map_err(|reason| format!("tensor {name}: {reason}"))?;
                tensors.push(Place { name: name.to_owned(), ..place });
            }
        }
        tensors.reverse();
        Ok(tensors)
    }

    /// The tensor that `_rebuild_tensor_v2(storage, offset, shape, strides, ..)` would make.
    fn place(&self, arguments: &[Value]) -> Result<Place, String> {
        let &[storage, offset, shape, strides, ..] = arguments else {
            return Err("it has too few properties".into());
        };
        let storage = self.storage(storage)?;
        let offset = length(offset).ok_or("its offset is no length")?;
        let dimensions =
            [shape, strides].into_iter().filter_map(|value| Some(self.pickle.sequence(value)?.len())).max();
        if let Some(dimensions) = dimensions.filter(|&dimensions| dimensions > DIMENSIONS) {
            return Err(format!("it has {dimensions} dimensions, more than the {DIMENSIONS} that are read"));
        }
        let lengths =
            |value| self.pickle.sequence(value)?.iter().map(|&value| length(value)).collect::<Option<Vec<_>>>();
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
    fn storage(&self, value: Value) -> Result<Storage, String> {
        let pickle = self.pickle;
        let Some(Node::Persistent(id)) = pickle.node(value) else { return Err("it has no storage".into()) };
        let Some(&[_, kind, key, _, count, ref view @ ..]) = pickle.sequence(*id) else {
            return Err("its storage is not described".into());
        };
        if view.first().is_some_and(|view| *view != Value::None) {
            return Err("its storage is a part of another one".into());
        }
        let (_, kind) = pickle.global(kind).ok_or("its storage has no type")?;
        let dtype = element_type(kind).ok_or_else(|| format!("its storage is a {kind}, which is not read here"))?;
        let key = pickle.text(key).ok_or("its storage has no name")?;
        let length = length(count).ok_or("its storage has no length")?;
        let range = (self.find)(key)?.ok_or_else(|| format!("its storage {key} is missing"))?;
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

/// PyTorch's storages and the types of their elements.
pub(crate) const STORAGES: [(&str, Dtype); 10] = [
    ("FloatStorage", Dtype::F32),
    ("DoubleStorage", Dtype::F64),
    ("HalfStorage", Dtype::F16),
    ("BFloat16Storage", Dtype::BF16),
    ("LongStorage", Dtype::I64),
    ("IntStorage", Dtype::I32),
    ("ShortStorage", Dtype::I16),
    ("CharStorage", Dtype::I8),
    ("ByteStorage", Dtype::U8),
    ("BoolStorage", Dtype::BOOL),
];

fn element_type(storage: &str) -> Option<Dtype> {
    STORAGES.into_iter().find(|(name, _)| *name == storage).map(|(_, dtype)| dtype)
}

fn length(value: Value) -> Option<usize> {
    match value {
        Value::Int(number) => usize::try_from(number).ok(),
        _ => None,
    }
}

/// Whether the elements lie one behind the other; the stride of a dimension of length 1 says nothing.
fn row_major(shape: &[usize], strides: &[usize]) -> bool {
    let mut step: usize = 1;
    shape.iter().zip(strides).rev().all(|(&length, &stride)| {
        let fits = length == 1 || stride == step;
        // Of no elements the other lengths may be any.
        step = step.wrapping_mul(length);
        fits
    })
}
