//! Typed indices instead of references, so that functions are plain data.

/// An SSA value: the index of the instruction that defines it. Prints as `%7`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(u32);

impl ValueId {
    /// The value defined by instruction `index`.
    ///
    /// # Panics
    /// When a function has more than 2³² instructions.
    #[must_use]
    pub fn new(index: usize) -> Self {
        ValueId(u32::try_from(index).expect("fewer than 2^32 instructions"))
    }

    /// The index of the defining instruction.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for ValueId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl std::fmt::Debug for ValueId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{}", self.0)
    }
}
