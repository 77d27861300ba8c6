use burn::tensor::Tensor;

use crate::KeyValue;

/// Keys and values of earlier positions, with room for more.
///
/// Positions are written where they will stay, in memory that doubles when it is full: on the CPU backend in place, as
/// long as nobody holds what [`extend`](Self::extend) returned before. Rows never move; a hypothesis that is moved
/// remembers in which row each of its positions lies ([`Attended::rows`](crate::Attended::rows)).
#[derive(Clone, Debug, Default)]
pub struct KeyValueCache {
    keys: Kept,
    values: Kept,
    length: usize,
}

impl KeyValueCache {
    /// Appends positions of rows 0, 1, … (`[rows, heads, time, width / heads]`; there may be fewer rows than before, or
    /// more) and returns all positions of all rows that there ever were.
    pub fn extend(&mut self, next: KeyValue) -> KeyValue {
        let past = self.length;
        self.length += next.key.dims()[2];
        KeyValue { key: self.keys.extend(past, next.key), value: self.values.extend(past, next.value) }
    }
}

/// Keys or values, `[row, room, heads, width / heads]`.
#[derive(Clone, Debug, Default)]
struct Kept(Option<Tensor<4>>);

impl Kept {
    /// Positions there is room for at first.
    const ROOM: usize = 32;

    fn extend(&mut self, past: usize, next: Tensor<4>) -> Tensor<4> {
        let next = next.swap_dims(1, 2);
        let [rows, time, heads, width] = next.dims();
        let length = past + time;
        // Taken out: only memory that nobody else holds is written in place.
        let kept = match self.0.take() {
            Some(kept) if kept.dims()[0] >= rows && kept.dims()[1] >= length => kept,
            full => {
                let old_rows = full.as_ref().map_or(0, |full| full.dims()[0]);
                let room = length.next_power_of_two().max(Self::ROOM);
                let empty = Tensor::zeros([rows.max(old_rows), room, heads, width], (&next.device(), next.dtype()));
                match full {
                    Some(full) => {
                        empty.slice_assign([0..old_rows, 0..past, 0..heads, 0..width], full.narrow(1, 0, past))
                    }
                    None => empty,
                }
            }
        };
        let kept = kept.slice_assign([0..rows, past..length, 0..heads, 0..width], next);
        self.0 = Some(kept.clone());
        kept.narrow(1, 0, length).swap_dims(1, 2)
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::tensor::Device;
    use vocable_random::Key;

    use super::*;
    use crate::Init;

    fn noise(rows: usize, time: usize, name: usize) -> KeyValue {
        let init = Init::new(Key::new(1).fold(name), &Device::flex());
        let draw = |name: &str| init.fold(name).normal::<4>([rows, 3, time, 5], 1.0);
        KeyValue { key: draw("key"), value: draw("value") }
    }

    fn values(tensor: &Tensor<4>) -> Vec<f32> {
        tensor.clone().try_into_vec_as::<f32>().unwrap()
    }

    #[test]
    fn all_positions_come_back_across_growth() {
        let mut cache = KeyValueCache::default();
        let parts: Vec<KeyValue> = [7, 1, 30, 100, 2].iter().enumerate().map(|(n, &time)| noise(2, time, n)).collect();
        for count in 1..=parts.len() {
            let seen = cache.extend(parts[count - 1].clone());
            let joined = |of: fn(&KeyValue) -> &Tensor<4>| {
                Tensor::cat(parts[..count].iter().map(|part| of(part).clone()).collect(), 2)
            };
            assert_eq!(values(&seen.key), values(&joined(|part| &part.key)));
            assert_eq!(values(&seen.value), values(&joined(|part| &part.value)));
        }
    }

    #[test]
    fn rows_may_come_and_go() {
        let mut cache = KeyValueCache::default();
        let (one, three, two) = (noise(1, 1, 0), noise(3, 1, 1), noise(2, 1, 2));
        cache.extend(one.clone());
        cache.extend(three.clone());
        let seen = cache.extend(two.clone()).key;
        assert_eq!(seen.dims(), [3, 3, 3, 5]);
        let at = |row: usize, time: usize| values(&seen.clone().narrow(0, row, 1).narrow(2, time, 1));
        assert_eq!(at(0, 0), values(&one.key));
        assert_eq!(at(2, 1), values(&three.key.narrow(0, 2, 1)));
        assert_eq!(at(1, 2), values(&two.key.narrow(0, 1, 1)));
    }

    #[test]
    fn positions_are_written_in_place() {
        let mut cache = KeyValueCache::default();
        let address = |kept: Tensor<4>| kept.try_into_primitive::<Flex>().unwrap().bytes().as_ptr();
        let first = address(cache.extend(noise(2, 1, 0)).key);
        for step in 1..Kept::ROOM {
            assert_eq!(address(cache.extend(noise(2, 1, step)).key), first, "step {step}");
        }
        assert_ne!(address(cache.extend(noise(2, 1, 99)).key), first);
    }
}
