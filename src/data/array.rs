//! One named array of a data file: shape, row-major values, and which of them are missing.

use serde_json::Value;

/// The elements of an array, row-major.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Every element that is present was written as an integer.
    Int(Vec<i64>),
    /// At least one element was written as a real number.
    Real(Vec<f64>),
}

impl Values {
    /// Number of elements, the missing ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Values::Int(v) => v.len(),
            Values::Real(v) => v.len(),
        }
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A data array. A scalar has the empty shape and one element.
#[derive(Debug, Clone, PartialEq)]
pub struct DataArray {
    /// Length of each axis, outermost first.
    pub shape: Vec<usize>,
    /// Elements, row-major; where one is missing, 0 or NaN stands in.
    pub values: Values,
    /// Marks the missing (`null`) elements; empty when none is missing, else as long as `values`.
    pub missing: Vec<bool>,
}

impl DataArray {
    /// A scalar integer.
    #[must_use]
    pub fn int(x: i64) -> Self {
        Self::ints(Vec::new(), vec![x])
    }

    /// A scalar real.
    #[must_use]
    pub fn real(x: f64) -> Self {
        Self::reals(Vec::new(), vec![x])
    }

    /// An array of integers without missing elements.
    ///
    /// # Panics
    /// When the number of values is not the product of the shape.
    #[must_use]
    pub fn ints(shape: Vec<usize>, values: Vec<i64>) -> Self {
        Self::new(shape, Values::Int(values), Vec::new())
    }

    /// An array of reals without missing elements.
    ///
    /// # Panics
    /// When the number of values is not the product of the shape.
    #[must_use]
    pub fn reals(shape: Vec<usize>, values: Vec<f64>) -> Self {
        Self::new(shape, Values::Real(values), Vec::new())
    }

    /// An array from its parts.
    ///
    /// # Panics
    /// When the lengths disagree.
    #[must_use]
    pub fn new(shape: Vec<usize>, values: Values, missing: Vec<bool>) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "shape {shape:?}");
        assert!(missing.is_empty() || missing.len() == values.len());
        DataArray { shape, values, missing }
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether every present element was written as an integer.
    #[must_use]
    pub fn is_int(&self) -> bool {
        matches!(self.values, Values::Int(_))
    }

    /// Whether element `flat` (row-major) is missing.
    #[must_use]
    pub fn is_missing(&self, flat: usize) -> bool {
        self.missing.get(flat).copied().unwrap_or(false)
    }

    /// Row-major positions of the missing elements.
    pub fn missing_elements(&self) -> impl Iterator<Item = usize> + '_ {
        self.missing.iter().enumerate().filter(|(_, m)| **m).map(|(i, _)| i)
    }

    /// The same with the first element that is there, or 0, in place of missing ones.
    #[must_use]
    pub fn filled(&self) -> Self {
        let there = (0..self.len()).find(|&i| !self.is_missing(i));
        let at = |i: usize| if self.is_missing(i) { there } else { Some(i) };
        let values = match &self.values {
            Values::Int(v) => {
                Values::Int((0..v.len()).map(|i| at(i).map_or(0, |i| v[i])).collect())
            }
            Values::Real(v) => {
                Values::Real((0..v.len()).map(|i| at(i).map_or(0.0, |i| v[i])).collect())
            }
        };
        DataArray::new(self.shape.clone(), values, Vec::new())
    }

    /// The elements as reals; NaN where missing.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a count beyond 2^53 is no different as a real")]
    pub fn to_reals(&self) -> Vec<f64> {
        let mut out: Vec<f64> = match &self.values {
            Values::Int(v) => v.iter().map(|x| *x as f64).collect(),
            Values::Real(v) => v.clone(),
        };
        for i in self.missing_elements() {
            out[i] = f64::NAN;
        }
        out
    }

    /// The same array, made of reals.
    #[must_use]
    pub fn as_reals(&self) -> Self {
        Self::new(self.shape.clone(), Values::Real(self.to_reals()), self.missing.clone())
    }

    /// The elements as integers, or the row-major position of the first that is not one.
    ///
    /// A real with an integral value counts (`2.0`, and R's habit of writing 100000 as `1e+05`).
    /// Missing elements come out as 0.
    ///
    /// # Errors
    /// The position of the first element that is not integral.
    #[allow(clippy::cast_possible_truncation, reason = "checked to be integral and below 2^53")]
    pub fn to_ints(&self) -> Result<Vec<i64>, usize> {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        let reals = match &self.values {
            Values::Int(v) => return Ok(v.clone()),
            Values::Real(v) => v,
        };
        let convert = |(i, x): (usize, &f64)| {
            if self.is_missing(i) {
                Ok(0)
            } else if x.fract() == 0.0 && x.abs() <= EXACT {
                Ok(*x as i64)
            } else {
                Err(i)
            }
        };
        reals.iter().enumerate().map(convert).collect()
    }

    /// The array as Stan JSON: nested lists, `null` where missing, non-finite numbers as strings.
    #[must_use]
    pub fn to_json(&self) -> Value {
        nest(&self.shape, &mut |flat| self.element(flat), &mut 0)
    }

    fn element(&self, flat: usize) -> Value {
        match &self.values {
            _ if self.is_missing(flat) => Value::Null,
            Values::Int(v) => v[flat].into(),
            Values::Real(v) if v[flat].is_finite() => v[flat].into(),
            Values::Real(v) if v[flat].is_nan() => "NaN".into(),
            Values::Real(v) if v[flat] > 0.0 => "Infinity".into(),
            Values::Real(_) => "-Infinity".into(),
        }
    }
}

/// Nested JSON lists of the given shape; `element` is asked for each row-major position in turn.
fn nest(shape: &[usize], element: &mut dyn FnMut(usize) -> Value, next: &mut usize) -> Value {
    match shape.split_first() {
        None => {
            *next += 1;
            element(*next - 1)
        }
        Some((n, rest)) => (0..*n).map(|_| nest(rest, element, next)).collect(),
    }
}

/// The 1-based index, one number per axis, of row-major position `flat` in an array of this shape.
#[must_use]
pub fn unravel(shape: &[usize], flat: usize) -> Vec<usize> {
    let mut rest = flat;
    let mut index: Vec<usize> = shape
        .iter()
        .rev()
        .map(|n| {
            let i = rest % (*n).max(1);
            rest /= (*n).max(1);
            i + 1
        })
        .collect();
    index.reverse();
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unravel_is_row_major_and_one_based() {
        let all: Vec<_> = (0..6).map(|i| unravel(&[2, 3], i)).collect();
        assert_eq!(all, [[1, 1], [1, 2], [1, 3], [2, 1], [2, 2], [2, 3]]);
        assert_eq!(unravel(&[], 0), [0_usize; 0]);
    }

    #[test]
    fn integral_reals_are_integers_and_others_are_not() {
        assert_eq!(DataArray::reals(vec![2], vec![2.0, 1e5]).to_ints(), Ok(vec![2, 100_000]));
        assert_eq!(DataArray::reals(vec![2], vec![2.0, 0.5]).to_ints(), Err(1));
        assert_eq!(DataArray::real(f64::NAN).to_ints(), Err(0));
        assert_eq!(DataArray::real(1e300).to_ints(), Err(0));
    }

    #[test]
    fn json_keeps_shape_missing_and_infinities() {
        let values = Values::Real(vec![1.0, 0.0, f64::INFINITY, f64::NEG_INFINITY]);
        let array = DataArray::new(vec![2, 2], values, vec![false, true, false, false]);
        assert_eq!(array.to_json().to_string(), r#"[[1.0,null],["Infinity","-Infinity"]]"#);
        assert_eq!(DataArray::ints(vec![2, 0], vec![]).to_json().to_string(), "[[],[]]");
    }
}
