//! Constants as the programs of one density share them, converted once.

use std::collections::HashMap;
use std::sync::Arc;

use super::element::Element;

/// Converted constants, by identity of the numbers they came from.
#[derive(Debug)]
pub(super) struct Pool<E> {
    known: HashMap<(usize, usize), Arc<[E]>>,
    /// Keeps the sources alive, so that an address means one constant.
    sources: Vec<Arc<[f64]>>,
}

impl<E: Element> Pool<E> {
    pub(super) fn new() -> Self {
        Pool { known: HashMap::new(), sources: Vec::new() }
    }

    /// The numbers of `data`, as a matrix of `cols` columns transposed unless `cols` is 0.
    pub(super) fn get(&mut self, data: &Arc<[f64]>, cols: usize) -> Arc<[E]> {
        let key = (Arc::as_ptr(data).cast::<f64>() as usize, cols);
        if let Some(found) = self.known.get(&key) {
            return found.clone();
        }
        let converted: Arc<[E]> = if cols == 0 {
            data.iter().map(|&x| E::of(x)).collect()
        } else {
            (0..cols).flat_map(|j| data.iter().skip(j).step_by(cols).map(|&x| E::of(x))).collect()
        };
        self.sources.push(data.clone());
        self.known.insert(key, converted.clone());
        converted
    }
}
