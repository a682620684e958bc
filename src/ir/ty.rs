//! Element types and concrete shapes.

use smallvec::SmallVec;

/// Sizes of the axes, row-major, last axis contiguous. Empty for a scalar.
pub type Shape = SmallVec<[usize; 4]>;

/// What the numbers of a tensor mean. All are stored as floating point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// A real number.
    Real,
    /// An integer, exact up to 2⁵³.
    Int,
    /// 0 or 1.
    Bool,
    /// The results of a scan together; only `Proj` reads it.
    Tuple,
}

impl DType {
    /// The name in IR text.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            DType::Real => "real",
            DType::Int => "int",
            DType::Bool => "bool",
            DType::Tuple => "tuple",
        }
    }
}

/// Element type and shape of a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Type {
    /// Element type.
    pub dtype: DType,
    /// Shape.
    pub shape: Shape,
}

impl Type {
    /// A type from its parts.
    pub fn new(dtype: DType, shape: impl Into<Shape>) -> Self {
        Type { dtype, shape: shape.into() }
    }

    /// A tensor of reals.
    pub fn real(shape: impl Into<Shape>) -> Self {
        Type::new(DType::Real, shape)
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        num_elements(&self.shape)
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of axes.
    #[must_use]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.dtype.name())?;
        if !self.shape.is_empty() {
            let sizes: Vec<String> = self.shape.iter().map(usize::to_string).collect();
            write!(f, "[{}]", sizes.join(", "))?;
        }
        Ok(())
    }
}

/// Number of elements of a shape; 1 for a scalar, `usize::MAX` where that is too small a number.
#[must_use]
pub fn num_elements(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n: usize, &size| n.saturating_mul(size))
}
