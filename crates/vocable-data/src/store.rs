//! Values that are made once and kept, as far as there is room for them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// One value per index, made when it is first asked for and kept while all that are kept fit a number of bytes.
///
/// What comes first stays. Training reads everything once per epoch in random order, and there no rule of replacement
/// would find more of it: it could only spend time on replacing.
#[derive(Debug)]
pub struct Store<T: ?Sized> {
    values: Vec<OnceLock<Arc<T>>>,
    /// Bytes that more values may take.
    room: AtomicUsize,
}

impl<T: ?Sized> Store<T> {
    /// An empty store for `count` values of `bytes` bytes together.
    pub fn new(count: usize, bytes: usize) -> Self {
        Self { values: (0..count).map(|_| OnceLock::new()).collect(), room: AtomicUsize::new(bytes) }
    }

    /// The value at `index`, from `make` if it is not kept; `size` tells its bytes.
    ///
    /// # Errors
    /// Those of `make`.
    ///
    /// # Panics
    /// If there is no such index.
    pub fn get<E>(
        &self,
        index: usize,
        size: impl FnOnce(&T) -> usize,
        make: impl FnOnce() -> Result<Arc<T>, E>,
    ) -> Result<Arc<T>, E> {
        let slot = &self.values[index];
        if let Some(value) = slot.get() {
            return Ok(Arc::clone(value));
        }
        let value = make()?;
        let size = size(&value);
        let take = |room: usize| room.checked_sub(size);
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
            && slot.set(Arc::clone(&value)).is_err()
        {
            // Another thread was faster; what counts is equal.
            self.room.fetch_add(size, Ordering::Relaxed);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn values_are_made_once_while_there_is_room() {
        let store = Store::<[u8]>::new(4, 250);
        let made = AtomicUsize::new(0);
        let get = |index: usize| {
            let make = || {
                made.fetch_add(1, Ordering::Relaxed);
                Ok::<_, Infallible>(Arc::from(vec![index as u8; 100]))
            };
            store.get(index, <[u8]>::len, make).unwrap()
        };
        for _ in 0..3 {
            (0..4).for_each(|index| assert_eq!(*get(index), [index as u8; 100]));
        }
        // Two fit; the other two are made whenever they are asked for.
        assert_eq!(made.load(Ordering::Relaxed), 2 + 2 * 3);
        assert_eq!(store.room.load(Ordering::Relaxed), 50);
        let failed: Result<_, &str> = Store::<[u8]>::new(1, 9).get(0, <[u8]>::len, || Err("gone"));
        assert_eq!(failed.unwrap_err(), "gone");
    }

    #[test]
    fn threads_that_make_the_same_value_take_its_room_once() {
        let store = Store::<[u8]>::new(1, 100);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let make = || Ok::<_, Infallible>(Arc::from(vec![7; 30]));
                    assert_eq!(*store.get(0, <[u8]>::len, make).unwrap(), [7; 30]);
                });
            }
        });
        assert_eq!(store.room.load(Ordering::Relaxed), 70);
    }
}
