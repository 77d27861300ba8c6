use std::path::Path;

use npyz::{DType, NpyFile, Order, TypeChar};

use crate::weights::map;
use crate::{Weights, WeightsError};

/// Bytes that the header of an array may have.
const LONGEST_HEADER: usize = 1 << 12;
/// Brackets that it may have: the reader takes twice as long or more for every one inside another. Two are needed.
const BRACKETS: usize = 8;

/// Shape and values, row-major, of a file that holds one array of floating-point numbers: NumPy's `.npy`, a safetensors file
/// with one tensor, or a tensor by itself that `torch.save` wrote.
///
/// # Errors
/// A file that is missing, damaged, of another format, or holds something else.
pub fn read_array(path: impl AsRef<Path>) -> Result<(Vec<usize>, Vec<f32>), WeightsError> {
    let path = path.as_ref();
    let wrong = |reason: String| WeightsError::NotWeights { path: path.into(), reason };
    if path.extension().is_some_and(|extension| extension == "npy") {
        return npy(&map(path)?).map_err(wrong);
    }
    let weights = Weights::open(path)?;
    let mut tensors = weights.tensors();
    match (tensors.next(), tensors.count()) {
        (Some(tensor), 0) => Ok((tensor.shape().to_vec(), tensor.to_f32()?)),
        (_, more) => Err(wrong(format!("it holds {} tensors, where one is expected", more + 1))),
    }
}

/// A NumPy file in memory, of which the header alone has been read. The reader reserves what the header's length claims, and
/// what a caller reads needs as much as the shape claims.
///
/// # Errors
/// What is no NumPy file, is cut short in its header, or has one that no array of numbers needs.
pub fn open_npy(bytes: &[u8]) -> Result<NpyFile<&[u8]>, String> {
    let (start, length) = match *bytes {
        [_, _, _, _, _, _, 1, _, a, b, ..] => (10, u32::from(u16::from_le_bytes([a, b]))),
        [_, _, _, _, _, _, _, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d])),
        _ => (0, 0),
    };
    let header = bytes[start..].get(..length as usize).ok_or("not a NumPy file: its header is cut short")?;
    if header.len() > LONGEST_HEADER || header.iter().filter(|byte| b"([{".contains(byte)).count() > BRACKETS {
        return Err("not a NumPy file: its header is not that of an array of numbers".into());
    }
    NpyFile::new(bytes).map_err(|error| format!("not a NumPy file: {error:.100}"))
}

fn npy(bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>), String> {
    let file = open_npy(bytes)?;
    let DType::Plain(kind) = file.dtype() else { return Err("it is a structured array".into()) };
    let size = match (kind.type_char(), kind.size_field()) {
        (TypeChar::Float, size @ (4 | 8)) => size,
        _ => return Err(format!("its values are {kind}, expected floating-point numbers")),
    };
    let (shape, order) = (file.shape().to_vec(), file.order());
    let claimed = shape.iter().try_fold(size, |bytes, &length| bytes.checked_mul(length));
    if claimed.is_none_or(|claimed| claimed > bytes.len() as u64) {
        return Err(format!("it claims the shape {shape:?}, for which it is too short"));
    }
    let values = match size {
        4 => file.into_vec::<f32>(),
        _ => file.into_vec::<f64>().map(|values| values.into_iter().map(|value| value as f32).collect()),
    };
    let values: Vec<f32> = values.map_err(|error| error.to_string())?;
    let shape: Vec<usize> = shape.into_iter().map(|length| length as usize).collect();
    let values = if order == Order::Fortran { row_major(&values, &shape) } else { values };
    Ok((shape, values))
}

/// Values in the order of the last dimension first, from those in the order of the first dimension first.
fn row_major(values: &[f32], shape: &[usize]) -> Vec<f32> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut step = 1;
    for &length in shape {
        strides.push(step);
        step *= length;
    }
    let at = |mut number: usize| {
        let mut place = 0;
        for (&length, &stride) in shape.iter().zip(&strides).rev() {
            place += number % length * stride;
            number /= length;
        }
        values[place]
    };
    (0..values.len()).map(at).collect()
}
