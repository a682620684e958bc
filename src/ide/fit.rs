//! Which distributions fit what stands to the left of `~`.
//!
//! As the checker decides it, but from the declarations alone, so that all distributions can be asked:
//! a distribution of integers does not fit reals, a vector's not a scalar; a parameter may be narrower
//! than its prior (that truncates) but not wider. What cannot be decided fits.

use crate::check::places::Drawn;
use crate::check::typed::{Expr, ExprKind, Scalar, Structure};
use crate::syntax::ast;

/// How well a distribution fits; the better, the less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    /// Its support is what was declared.
    Exact,
    /// It is allowed.
    Allowed,
}

/// Tells whether a distribution with the declared support `support` fits. `latent`: what is on the
/// left is a parameter, whose values the distribution has to cover.
pub(super) fn fit(support: &ast::TypeExpr, left: &Drawn, latent: bool) -> Option<Fit> {
    let Some(ty) = &left.ty else {
        // A parameter whose type follows from its prior.
        let integer =
            matches!(&support.kind, ast::TypeKind::Base { name, .. } if name.text == "int");
        return (!integer || !latent).then_some(Fit::Allowed);
    };
    let ast::TypeKind::Base { name, bounds, dims, .. } = &support.kind else {
        return Some(Fit::Allowed);
    };
    let rank = ty.rank()?;
    let declared = left.support.as_ref().map(|support| &support.structure);
    let scalar = match name.text.as_str() {
        "int" => Scalar::Int,
        "bool" => Scalar::Bool,
        "real" => Scalar::Real,
        structured => {
            let matrix = matches!(
                structured,
                "cholesky_corr" | "corr_matrix" | "cholesky_cov" | "cov_matrix"
            );
            if ty.scalar() != Some(Scalar::Real) || rank < if matrix { 2 } else { 1 } {
                return None;
            }
            return match declared.map(Structure::name) {
                Some(name) if name == structured => Some(Fit::Exact),
                Some("real") if latent => None,
                Some("real") | None => Some(Fit::Allowed),
                Some(_) => None,
            };
        }
    };
    let found = ty.scalar()?;
    if dims.len() > rank || (scalar == Scalar::Real) != (found == Scalar::Real) {
        return None;
    }
    let (lower, upper) = match declared {
        Some(Structure::Scalar { lower, upper, .. }) => (lower.as_ref(), upper.as_ref()),
        // Structured values take scalar distributions element by element.
        Some(Structure::Ordered(_) | Structure::PositiveOrdered(_)) => {
            return dims.is_empty().then_some(Fit::Allowed);
        }
        Some(_) if latent => return None,
        Some(_) => return Some(Fit::Allowed),
        None => (None, None),
    };
    let bound = |which: &str| bounds.iter().find(|b| b.name.text == which).map(|b| &b.value);
    let sides = [(lower, bound("lower"), 1.0), (upper, bound("upper"), -1.0)];
    let mut exact = dims.is_empty() || rank == dims.len();
    for (declared, drawn, sign) in sides {
        exact &= declared.is_some() == drawn.is_some();
        if !latent {
            continue;
        }
        match (declared, drawn) {
            (None, Some(_)) => return None,
            (Some(declared), Some(drawn)) => {
                if let (Some(declared), Some(drawn)) = (constant(declared), ast_constant(drawn))
                    && sign * declared < sign * drawn
                {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(if exact { Fit::Exact } else { Fit::Allowed })
}

#[allow(clippy::cast_precision_loss, reason = "bounds are small")]
fn constant(e: &Expr) -> Option<f64> {
    match e.kind {
        ExprKind::Int(n) => Some(n as f64),
        ExprKind::Real(x) => Some(x),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss, reason = "bounds are small")]
fn ast_constant(e: &ast::Expr) -> Option<f64> {
    match e.kind {
        ast::ExprKind::Int(n) => Some(n as f64),
        ast::ExprKind::Real(x) => Some(x),
        _ => None,
    }
}
