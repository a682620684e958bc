//! Supports against supports: what a parameter may be, and where its prior has density.
//!
//! Declared narrower than the prior: the prior is truncated and normalised. Declared wider: an
//! error, since the density would be zero on part of the space that inference explores.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::checker::Checker;
use super::dist::{Value, quoted};
use super::interval::Interval;
use super::print;
use super::shape::Dim;
use super::typed::{Dist, DistKind, Expr, ExprKind, Index, Stage, Structure, Support, Type};

/// How one declared bound compares with that of the distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Same,
    /// The declared bound leaves less.
    Narrower,
    /// The declared bound leaves more, for certain or possibly.
    Wider,
    /// Expressions that cannot be compared.
    Unknown,
}

/// The two ends of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Lower,
    Upper,
}

impl Checker<'_> {
    /// Checks the prior of a parameter of known support. `places` are those of the name and of its
    /// type. `None` for `flat()` or after an error.
    pub(super) fn prior(
        &mut self,
        dist: &ast::Expr,
        support: &Support,
        ty: &Type,
        name: &str,
        places: (Span, Span),
    ) -> Option<Dist> {
        if self.is_flat(dist) {
            return None;
        }
        let value = Value {
            ty: ty.clone(),
            support: Some(support.clone()),
            interval: self.support_interval(support),
            span: places.0,
            name: name.to_string(),
        };
        let (dist, draw) = self.draw(dist, Some(&value))?;
        match (&support.structure, &draw.support.structure) {
            (
                Structure::Scalar { lower, upper, .. },
                Structure::Scalar { lower: low, upper: high, .. },
            ) => {
                let sides = [
                    self.side(lower.as_ref(), low.as_ref(), End::Lower),
                    self.side(upper.as_ref(), high.as_ref(), End::Upper),
                ];
                if sides.contains(&Side::Wider) {
                    self.report_wider(&value, &dist, support, &draw.support, places.1);
                    return None;
                }
                let cut = |side, bound: &Option<Expr>| {
                    if side == Side::Same { None } else { bound.clone() }
                };
                let (lower, upper) = (cut(sides[0], lower), cut(sides[1], upper));
                self.truncated(dist, lower, upper)
            }
            (Structure::Ordered(_), Structure::Scalar { .. }) => {
                if !self.within(&value, &draw.support) {
                    self.report_wider(&value, &dist, support, &draw.support, places.1);
                    return None;
                }
                Some(self.sorted(dist, &value, support))
            }
            // A positive one cuts the elements at 0 as well.
            (Structure::PositiveOrdered(_), Structure::Scalar { lower: low, .. }) => {
                let zero = Expr {
                    kind: ExprKind::Int(0),
                    ty: Type::INT,
                    stage: Stage::Data,
                    span: places.1,
                };
                let dist = match self.side(Some(&zero), low.as_ref(), End::Lower) {
                    Side::Same => dist,
                    Side::Wider => {
                        self.report_wider(&value, &dist, support, &draw.support, places.1);
                        return None;
                    }
                    Side::Narrower | Side::Unknown => self.truncated(dist, Some(zero), None)?,
                };
                Some(self.sorted(dist, &value, support))
            }
            (declared, drawn) if declared.name() == drawn.name() => Some(dist),
            (_, Structure::Scalar { .. }) => {
                if !self.within(&value, &draw.support) {
                    self.report_wider(&value, &dist, support, &draw.support, places.1);
                    return None;
                }
                self.lint_unnormalised(&value, &dist, support);
                Some(dist)
            }
            _ if is_subset(&support.structure, &draw.support.structure) => {
                self.lint_unnormalised(&value, &dist, support);
                Some(dist)
            }
            _ => {
                self.report_wider(&value, &dist, support, &draw.support, places.1);
                None
            }
        }
    }

    /// Cuts the prior of a marginal down to its declared bounds, where they certainly leave less.
    pub(super) fn cut_to(
        &mut self,
        dist: Dist,
        declared: &Support,
        drawn: &Support,
    ) -> Option<Dist> {
        let (
            Structure::Scalar { lower, upper, .. },
            Structure::Scalar { lower: low, upper: high, .. },
        ) = (&declared.structure, &drawn.structure)
        else {
            return Some(dist);
        };
        let cut = |bound: &Option<Expr>, own: &Option<Expr>, end| {
            bound.clone().filter(|b| self.side(Some(b), own.as_ref(), end) == Side::Narrower)
        };
        let (lower, upper) = (cut(lower, low, End::Lower), cut(upper, high, End::Upper));
        self.truncated(dist, lower, upper)
    }

    /// The elements of an ordered vector share one distribution, of which each of the K! orders is
    /// equally likely; without that, the probability of the order is not known.
    fn sorted(&mut self, dist: Dist, value: &Value, support: &Support) -> Dist {
        if !self.is_shared(&dist) {
            self.lint_unnormalised(value, &dist, support);
            return dist;
        }
        let span = dist.span;
        Dist { kind: DistKind::Sorted { dist: Box::new(dist) }, span }
    }

    /// Tells whether all elements of a batch have the same distribution, independently.
    fn is_shared(&self, dist: &Dist) -> bool {
        let one = |e: &Expr| e.ty.dims().is_empty();
        match &dist.kind {
            DistKind::Named { dist: id, args, .. } => {
                let rank = |var| self.model.var(var).ty.dims().len();
                let mut pairs = args.iter().zip(&self.model.dist(*id).params);
                !self.is_multivariate(dist) && pairs.all(|(arg, &p)| arg.ty.dims().len() == rank(p))
            }
            // The arguments of one component run over the components.
            DistKind::Mixture { components, .. } => match components.as_slice() {
                [_] => false,
                several => several.iter().all(|part| self.is_shared(part)),
            },
            DistKind::Truncated { dist, lower, upper, .. }
            | DistKind::Censored { dist, lower, upper } => {
                self.is_shared(dist) && [lower, upper].into_iter().flatten().all(one)
            }
            DistKind::ZeroInflated { p, dist } | DistKind::Hurdle { p, dist } => {
                one(p) && self.is_shared(dist)
            }
            DistKind::Affine { dist, loc, scale } => one(loc) && one(scale) && self.is_shared(dist),
            DistKind::Sorted { .. } => false,
        }
    }

    fn truncated(&mut self, dist: Dist, lower: Option<Expr>, upper: Option<Expr>) -> Option<Dist> {
        if lower.is_none() && upper.is_none() {
            return Some(dist);
        }
        if self.is_multivariate(&dist) {
            self.report(
                Diagnostic::error(
                    Code::E0307,
                    dist.span,
                    "a multivariate distribution cannot be normalised on part of its space",
                    "the declared bounds cut it",
                )
                .with_help("leave the bounds out, or transform an unbounded parameter"),
            );
            return None;
        }
        self.require_cdf(&dist, "the declared bounds")?;
        let span = dist.span;
        Some(Dist {
            kind: DistKind::Truncated { dist: Box::new(dist), lower, upper, guard: false },
            span,
        })
    }

    fn report_wider(
        &mut self,
        value: &Value,
        dist: &Dist,
        declared: &Support,
        drawn: &Support,
        place: Span,
    ) {
        let name = self.dist_name(dist);
        let wanted = self.show_support(drawn);
        let found = self.show_support(declared);
        let mut diagnostic = Diagnostic::error(
            Code::E0304,
            place,
            format!("{} may be where its prior `{name}` has no density", quoted(&value.name)),
            format!("declared {found}"),
        )
        .with_label(dist.span, format!("draws {wanted}"));
        let fix = if place == value.span { None } else { self.narrower_type(place, drawn) };
        diagnostic = match fix {
            Some(text) => diagnostic.with_fix("declare the support of the prior", place, text),
            None => diagnostic.with_help(format!("declare it {wanted}")),
        };
        self.report(diagnostic);
    }

    /// Writes the declared type with the bounds of the distribution, if it is simple.
    fn narrower_type(&self, place: Span, drawn: &Support) -> Option<String> {
        let text = self.sources.slice(place);
        let (base, dims) = match text.find('[') {
            Some(at) if !text[..at].contains('<') => text.split_at(at),
            Some(_) => return None,
            None if text.contains('<') => return None,
            None => (text, ""),
        };
        if base.trim() != "real" {
            return None;
        }
        match &drawn.structure {
            Structure::Scalar { .. } => {
                let bounds = self.show_bounds(drawn);
                (!bounds.is_empty()).then(|| format!("real{bounds}{dims}"))
            }
            structured => Some(format!("{}{dims}", structured.name())),
        }
    }

    fn dist_name(&self, dist: &Dist) -> String {
        match &dist.kind {
            DistKind::Named { dist, .. } => self.model.dist(*dist).name.clone(),
            DistKind::Mixture { .. } => "mixture".into(),
            DistKind::Truncated { .. } => "truncate".into(),
            DistKind::Censored { .. } => "censor".into(),
            DistKind::ZeroInflated { .. } => "zero_inflated".into(),
            DistKind::Hurdle { .. } => "hurdle".into(),
            DistKind::Affine { .. } => "affine".into(),
            DistKind::Sorted { dist } => self.dist_name(dist),
        }
    }

    fn show_bounds(&self, support: &Support) -> String {
        let Structure::Scalar { lower, upper, .. } = &support.structure else {
            return String::new();
        };
        let names = |var| self.model.var(var).name.clone();
        let bounds: Vec<String> = [("lower", lower), ("upper", upper)]
            .into_iter()
            .filter_map(|(name, e)| {
                e.as_ref().map(|e| format!("{name}={}", print::expr(e, &names)))
            })
            .collect();
        if bounds.is_empty() { String::new() } else { format!("<{}>", bounds.join(", ")) }
    }

    fn show_support(&self, support: &Support) -> String {
        format!("`{}{}`", support.structure.name(), self.show_bounds(support))
    }

    pub(super) fn side(&self, declared: Option<&Expr>, drawn: Option<&Expr>, end: End) -> Side {
        let (declared, drawn) = match (declared, drawn) {
            (None, None) => return Side::Same,
            (Some(_), None) => return Side::Narrower,
            (None, Some(_)) => return Side::Wider,
            (Some(declared), Some(drawn)) => (declared, drawn),
        };
        if self.same_expr(declared, drawn) {
            return Side::Same;
        }
        let (a, b) = (self.interval(declared), self.interval(drawn));
        let (inner, outer) = match end {
            End::Lower => (a, b),
            End::Upper => (b, a),
        };
        // `inner >= outer` everywhere: the declared bound leaves less.
        if a.is_point() && b.is_point() && inner.lo == outer.lo {
            Side::Same
        } else if inner.lo >= outer.hi {
            Side::Narrower
        } else if inner.hi < outer.lo {
            Side::Wider
        } else {
            Side::Unknown
        }
    }

    /// Tells whether two expressions are the same text after resolution.
    fn same_expr(&self, a: &Expr, b: &Expr) -> bool {
        let numbered = |var: super::typed::VarId| format!("${}", var.0);
        print::expr(a, &numbered) == print::expr(b, &numbered)
    }

    /// Tells whether a value certainly lies in a support, so that no guard is needed.
    pub(super) fn lies_within(&self, value: &Value, drawn: &Support) -> bool {
        match &drawn.structure {
            Structure::Scalar { .. } => self.within(value, drawn),
            structured => value
                .support
                .as_ref()
                .is_some_and(|support| support.structure.name() == structured.name()),
        }
    }

    /// Tells whether the elements of a value certainly lie within scalar bounds.
    fn within(&self, value: &Value, drawn: &Support) -> bool {
        let Structure::Scalar { lower, upper, .. } = &drawn.structure else { return false };
        let declared = value.support.as_ref().map(|support| &support.structure);
        let (low, high) = match declared {
            Some(Structure::Scalar { lower, upper, .. }) => (lower.as_ref(), upper.as_ref()),
            _ => (None, None),
        };
        let Interval { lo, hi } = value.interval;
        let above = lower.as_ref().is_none_or(|bound| {
            self.interval(bound).hi <= lo || low.is_some_and(|low| self.same_expr(low, bound))
        });
        let below = upper.as_ref().is_none_or(|bound| {
            self.interval(bound).lo >= hi || high.is_some_and(|high| self.same_expr(high, bound))
        });
        above && below
    }

    /// Returns the support of an expression where declarations tell: a variable, or elements of one.
    pub(super) fn known_support(&self, e: &Expr) -> Option<Support> {
        match &e.kind {
            ExprKind::Var(var) => self.facts.supports.get(var).cloned(),
            ExprKind::Index(base, indices) => {
                let whole = self.known_support(base)?;
                let array = Self::sizes_of(e.ty.dims(), e.span);
                let part = |bound: &Option<Expr>| {
                    bound.as_ref().map(|bound| {
                        if bound.ty.dims().is_empty() {
                            return bound.clone();
                        }
                        let kind = ExprKind::Index(Box::new(bound.clone()), indices.clone());
                        let ty = Type::array(
                            bound.ty.scalar().unwrap_or(super::typed::Scalar::Real),
                            e.ty.dims().to_vec(),
                        );
                        Expr { kind, ty, stage: bound.stage.max(e.stage), span: e.span }
                    })
                };
                let structure = match &whole.structure {
                    Structure::Scalar { scalar, lower, upper, .. } => Structure::Scalar {
                        scalar: *scalar,
                        lower: part(lower),
                        upper: part(upper),
                        offset: None,
                        multiplier: None,
                    },
                    // Whole structures picked out of an array of them.
                    structured => {
                        let picked = indices.get(whole.array.len()..)?;
                        let all = |index: &Index| matches!(index, Index::Slice(None, None));
                        if !picked.iter().all(all) {
                            return Some(Support {
                                array,
                                structure: super::define::real_line(),
                                missing: false,
                            });
                        }
                        let event = picked.len();
                        let kept = array.len().checked_sub(event)?;
                        return Some(Support {
                            array: array[..kept].to_vec(),
                            structure: structured.clone(),
                            missing: false,
                        });
                    }
                };
                Some(Support { array, structure, missing: false })
            }
            _ => None,
        }
    }

    /// Returns bounds that hold for draws from either of two distributions.
    pub(super) fn union(&self, mut a: Support, b: &Support) -> Support {
        if let (
            Structure::Scalar { lower, upper, .. },
            Structure::Scalar { lower: low, upper: high, .. },
        ) = (&mut a.structure, &b.structure)
        {
            let keep = |one: &Option<Expr>, other: &Option<Expr>, end| match (one, other) {
                (Some(x), Some(y)) => match self.side(Some(x), Some(y), end) {
                    Side::Same | Side::Wider => Some(x.clone()),
                    Side::Narrower => Some(y.clone()),
                    Side::Unknown => None,
                },
                _ => None,
            };
            *lower = keep(lower, low, End::Lower);
            *upper = keep(upper, high, End::Upper);
        }
        a
    }

    /// Drops bounds that have the axis of a mixture's components: they differ between components.
    pub(super) fn forget_component_bounds(&self, support: &mut Support, batch: &[Dim]) {
        if let Structure::Scalar { lower, upper, .. } = &mut support.structure {
            for bound in [lower, upper] {
                let per_component = bound.as_ref().is_some_and(|e| {
                    !e.ty.dims().is_empty() && !self.certainly_equal(e.ty.dims(), batch)
                });
                if per_component {
                    *bound = None;
                }
            }
        }
    }
}

/// Tells whether every value of one structure is one of the other.
fn is_subset(inner: &Structure, outer: &Structure) -> bool {
    matches!(
        (inner, outer),
        (Structure::PositiveOrdered(_), Structure::Ordered(_))
            | (Structure::CorrMatrix(_), Structure::CovMatrix(_))
            | (Structure::CholeskyCorr(_), Structure::CholeskyCov(_))
    )
}
