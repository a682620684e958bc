//! Symbolic dimensions: polynomials over sizes, so that `N - 1 + 1` is `N`.
//!
//! What a polynomial cannot say (`sum(n)`) is one opaque atom, equal to another of the same text.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::source::Span;

use super::builtins::Builtin;
use super::print;
use super::subst::Subst;
use super::typed::{Expr, ExprKind, Scalar, Stage, Type, VarId};

/// The length of one axis: a polynomial with integer coefficients in canonical form.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Dim {
    /// Coefficient of every product of atoms; no coefficient is 0, atoms of a product ascend.
    terms: BTreeMap<Vec<Atom>, i64>,
}

/// A factor of a term.
#[derive(Clone, Debug)]
enum Atom {
    /// A size or an integer variable.
    Var(VarId),
    /// Any other integer expression.
    Opaque {
        /// Its text with variables by number: what equality means.
        key: Arc<str>,
        /// Itself.
        expr: Arc<Expr>,
    },
}

impl Atom {
    fn key(&self) -> (u32, &str) {
        match self {
            Self::Var(var) => (var.0, ""),
            Self::Opaque { key, .. } => (u32::MAX, key),
        }
    }
}

impl PartialEq for Atom {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Atom {}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// What is known about two dimensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Equal for all data.
    Equal,
    /// Different numbers, or sizes of different names that nothing ties together.
    Differ,
    /// Only data can tell.
    Unknown,
}

impl Dim {
    /// Makes the dimension of `n` elements.
    #[must_use]
    pub fn constant(n: i64) -> Self {
        Self::default().plus(n, Vec::new())
    }

    /// Makes the dimension that a size or an integer variable gives.
    #[must_use]
    pub fn var(var: VarId) -> Self {
        Self::default().plus(1, vec![Atom::Var(var)])
    }

    /// Makes a dimension from an integer expression. `known` gives the dimension that a variable is
    /// another name for.
    #[must_use]
    pub fn of(expr: &Expr, known: &dyn Fn(VarId) -> Option<Self>) -> Self {
        match &expr.kind {
            ExprKind::Int(n) => Self::constant(*n),
            ExprKind::Var(var) if expr.ty.rank() == Some(0) => {
                known(*var).unwrap_or_else(|| Self::var(*var))
            }
            ExprKind::Builtin(op, args) => match (op, args.as_slice()) {
                (Builtin::Add, [a, b]) => Self::of(a, known).add(&Self::of(b, known)),
                (Builtin::Sub, [a, b]) => Self::of(a, known).sub(&Self::of(b, known)),
                (Builtin::Mul, [a, b]) => Self::of(a, known).mul(&Self::of(b, known)),
                (Builtin::Neg, [a]) => Self::constant(0).sub(&Self::of(a, known)),
                (Builtin::Size | Builtin::Rows, [a]) => {
                    a.ty.dims().first().cloned().unwrap_or_else(|| Self::opaque(expr))
                }
                (Builtin::NumElements, [a]) => {
                    a.ty.dims().iter().fold(Self::constant(1), |n, dim| n.mul(dim))
                }
                (Builtin::Cols, [a]) => {
                    a.ty.dims().get(1).cloned().unwrap_or_else(|| Self::opaque(expr))
                }
                _ => Self::opaque(expr),
            },
            _ => Self::opaque(expr),
        }
    }

    /// Makes a dimension of which only the expression is known.
    #[must_use]
    pub fn opaque(expr: &Expr) -> Self {
        let key = print::expr(expr, &|var| format!("${}", var.0)).into();
        Self::default().plus(1, vec![Atom::Opaque { key, expr: Arc::new(expr.clone()) }])
    }

    /// Returns the number, if it is one.
    #[must_use]
    pub fn as_constant(&self) -> Option<i64> {
        match self.terms.iter().next() {
            None => Some(0),
            Some((atoms, n)) if atoms.is_empty() && self.terms.len() == 1 => Some(*n),
            Some(_) => None,
        }
    }

    /// Returns the variable, if it is just one.
    #[must_use]
    pub fn as_var(&self) -> Option<VarId> {
        match self.terms.iter().next() {
            Some((atoms, 1)) if self.terms.len() == 1 => match atoms.as_slice() {
                [Atom::Var(var)] => Some(*var),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the variables in it, each once for each of its terms.
    pub fn vars(&self) -> impl Iterator<Item = VarId> {
        self.terms.keys().flatten().filter_map(|atom| match atom {
            Atom::Var(var) => Some(*var),
            Atom::Opaque { .. } => None,
        })
    }

    /// Returns the sum.
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        other.terms.iter().fold(self.clone(), |sum, (atoms, n)| sum.plus(*n, atoms.clone()))
    }

    /// Returns the difference.
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        let negate = |n: i64| n.saturating_neg();
        other.terms.iter().fold(self.clone(), |sum, (atoms, n)| sum.plus(negate(*n), atoms.clone()))
    }

    /// Returns the product.
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        let mut product = Self::default();
        for (a, m) in &self.terms {
            for (b, n) in &other.terms {
                let mut atoms = [a.as_slice(), b.as_slice()].concat();
                atoms.sort();
                product = product.plus(m.saturating_mul(*n), atoms);
            }
        }
        product
    }

    /// Returns the dimension plus a number.
    #[must_use]
    pub fn offset(&self, n: i64) -> Self {
        self.clone().plus(n, Vec::new())
    }

    /// Compares; `rigid` tells whether a variable is a size of its own, which may not be assumed
    /// equal to another.
    #[must_use]
    pub fn compare(&self, other: &Self, rigid: &dyn Fn(VarId) -> bool) -> Agreement {
        let difference = self.sub(other);
        if difference.terms.is_empty() {
            return Agreement::Equal;
        }
        let all_rigid = difference.terms.keys().flatten().all(|atom| match atom {
            Atom::Var(var) => rigid(*var),
            Atom::Opaque { .. } => false,
        });
        if all_rigid { Agreement::Differ } else { Agreement::Unknown }
    }

    /// Returns the coefficient of a variable and the rest, if it occurs in no product.
    #[must_use]
    pub fn linear_in(&self, var: VarId) -> Option<(i64, Self)> {
        let alone = vec![Atom::Var(var)];
        let factor = *self.terms.get(&alone)?;
        let mut rest = self.clone();
        rest.terms.remove(&alone);
        if rest.vars().any(|other| other == var) { None } else { Some((factor, rest)) }
    }

    /// Returns the number that it is when variables are; `None` if one is not known.
    #[must_use]
    pub fn evaluate(&self, value: &dyn Fn(VarId) -> Option<i64>) -> Option<i64> {
        let mut sum = 0_i64;
        for (atoms, n) in &self.terms {
            let mut product = *n;
            for atom in atoms {
                let factor = match atom {
                    Atom::Var(var) => value(*var)?,
                    Atom::Opaque { .. } => return None,
                };
                product = product.checked_mul(factor)?;
            }
            sum = sum.checked_add(product)?;
        }
        Some(sum)
    }

    /// Makes the expression that computes it.
    #[must_use]
    pub fn to_expr(&self, span: Span) -> Expr {
        let int = |kind| Expr { kind, ty: Type::INT, stage: Stage::Data, span };
        let op = |op, a, b| int(ExprKind::Builtin(op, vec![a, b]));
        let mut sum: Option<Expr> = None;
        // Constants last: `N - 1`, not `-1 + N`.
        for (atoms, n) in self.terms.iter().rev() {
            let factors = atoms.iter().map(|atom| match atom {
                Atom::Var(var) => int(ExprKind::Var(*var)),
                Atom::Opaque { expr, .. } => expr.as_ref().clone(),
            });
            let product = factors.reduce(|a, b| op(Builtin::Mul, a, b));
            let size = int(ExprKind::Int(n.saturating_abs()));
            let term = match product {
                None => size,
                Some(product) if n.abs() == 1 => product,
                Some(product) => op(Builtin::Mul, size, product),
            };
            sum = Some(match sum {
                None if *n < 0 => int(ExprKind::Builtin(Builtin::Neg, vec![term])),
                None => term,
                Some(sum) => op(if *n < 0 { Builtin::Sub } else { Builtin::Add }, sum, term),
            });
        }
        sum.unwrap_or_else(|| int(ExprKind::Int(0)))
    }

    /// Replaces variables.
    #[must_use]
    pub fn substitute(&self, subst: &Subst) -> Self {
        let mut sum = Self::default();
        for (atoms, n) in &self.terms {
            let mut product = Self::constant(*n);
            for atom in atoms {
                product = product.mul(&match atom {
                    Atom::Var(var) => subst.dim(*var).unwrap_or_else(|| Self::var(*var)),
                    Atom::Opaque { expr, .. } => Self::of(&subst.expr(expr), &|_| None),
                });
            }
            sum = sum.add(&product);
        }
        sum
    }

    /// Writes it as a model would.
    #[must_use]
    pub fn show(&self, name: &dyn Fn(VarId) -> String) -> String {
        let nowhere = Span::new(crate::source::FileId(0), 0, 0);
        print::expr(&self.to_expr(nowhere), name)
    }

    fn plus(mut self, n: i64, atoms: Vec<Atom>) -> Self {
        let sum = self.terms.get(&atoms).copied().unwrap_or(0).saturating_add(n);
        if sum == 0 {
            self.terms.remove(&atoms);
        } else {
            self.terms.insert(atoms, sum);
        }
        self
    }
}

impl Type {
    /// An integer.
    pub const INT: Self = Self::Array { scalar: Scalar::Int, dims: Vec::new() };
    /// A real number.
    pub const REAL: Self = Self::Array { scalar: Scalar::Real, dims: Vec::new() };
    /// A truth value.
    pub const BOOL: Self = Self::Array { scalar: Scalar::Bool, dims: Vec::new() };

    /// Makes the type of an array, or with no dimensions of a scalar.
    #[must_use]
    pub fn array(scalar: Scalar, dims: Vec<Dim>) -> Self {
        Self::Array { scalar, dims }
    }

    /// Returns the dimensions; none for what is no array.
    #[must_use]
    pub fn dims(&self) -> &[Dim] {
        match self {
            Self::Array { dims, .. } => dims,
            Self::Function { .. } | Self::Error => &[],
        }
    }

    /// Returns the number of dimensions of an array or a scalar.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        match self {
            Self::Array { dims, .. } => Some(dims.len()),
            Self::Function { .. } | Self::Error => None,
        }
    }

    /// Returns what the elements are.
    #[must_use]
    pub fn scalar(&self) -> Option<Scalar> {
        match self {
            Self::Array { scalar, .. } => Some(*scalar),
            Self::Function { .. } | Self::Error => None,
        }
    }

    /// Tells whether an error has been reported for it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Self::Error)
    }
}

impl Scalar {
    /// Returns the name that models write.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Real => "real",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_canonical() {
        let (n, m) = (Dim::var(VarId(0)), Dim::var(VarId(1)));
        assert_eq!(n.offset(-1).offset(1), n);
        assert_eq!(n.add(&m).mul(&n.sub(&m)), n.mul(&n).sub(&m.mul(&m)));
        assert_eq!(n.sub(&n), Dim::constant(0));
        assert_eq!(n.offset(-1).show(&|_| "N".into()), "N - 1");
        assert_eq!(n.mul(&Dim::constant(2)).offset(3).show(&|_| "N".into()), "2 * N + 3");
    }

    #[test]
    fn rigid_sizes_differ_and_others_are_left_to_the_data() {
        let (n, m) = (Dim::var(VarId(0)), Dim::var(VarId(1)));
        assert_eq!(n.compare(&m, &|_| true), Agreement::Differ);
        assert_eq!(n.compare(&m, &|var| var == VarId(0)), Agreement::Unknown);
        assert_eq!(n.compare(&n.offset(1), &|_| false), Agreement::Differ);
        assert_eq!(Dim::constant(2).compare(&Dim::constant(3), &|_| false), Agreement::Differ);
    }
}
