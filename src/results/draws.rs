//! Named draws of constrained values: what a user thinks the posterior is of.

pub use crate::lower::Role;

/// Draws of one variable.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// Name as declared.
    pub name: String,
    /// Length of each axis; empty for a scalar.
    pub shape: Vec<usize>,
    /// What declared it.
    pub role: Role,
    /// Values, `[S, size]` row-major, where `size` is the product of the shape.
    pub values: Vec<f64>,
}

impl Variable {
    /// Number of scalars in one draw.
    #[must_use]
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// All draws of the scalar at row-major position `element`, chain after chain.
    #[must_use]
    pub fn scalar(&self, element: usize) -> Vec<f64> {
        self.values.iter().skip(element).step_by(self.size().max(1)).copied().collect()
    }

    /// The values as integers, if all of them are exactly that.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "whole and exact")]
    pub fn whole(&self) -> Option<Vec<i64>> {
        const EXACT: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
        let is_whole = |x: &f64| x.fract() == 0.0 && x.abs() < EXACT;
        let all = self.values.iter().all(is_whole);
        all.then(|| self.values.iter().map(|&x| x as i64).collect())
    }

    /// Name of the scalar at row-major position `element`, as in the language: `theta[2, 3]`.
    #[must_use]
    pub fn element_name(&self, element: usize) -> String {
        element_name(&self.name, &self.shape, element)
    }
}

/// `theta[2, 3]` for the scalar at row-major position `element`.
pub(super) fn element_name(name: &str, shape: &[usize], element: usize) -> String {
    if shape.is_empty() {
        return name.to_owned();
    }
    let index: Vec<String> =
        crate::data::unravel(shape, element).iter().map(ToString::to_string).collect();
    format!("{name}[{}]", index.join(", "))
}

/// Draws of all variables, chains one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Draws {
    /// Number of chains.
    pub chains: usize,
    /// Draws in each chain.
    pub draws_per_chain: usize,
    /// Variables in order of declaration.
    pub variables: Vec<Variable>,
}

impl Draws {
    /// Number of draws `S` over all chains.
    #[must_use]
    pub fn total(&self) -> usize {
        self.chains * self.draws_per_chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_columns_of_the_draws() {
        let values = (0..12).map(f64::from).collect();
        let v = Variable { name: "m".into(), shape: vec![2, 3], role: Role::Param, values };
        assert_eq!(v.scalar(4), [4.0, 10.0]);
        assert_eq!(v.element_name(4), "m[2, 2]");
    }
}
