//! Types as written → supports and types.

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;
use crate::syntax::ast;

use super::checker::Checker;
use super::shape::Dim;
use super::suggest;
use super::typed::{Expr, ExprKind, Scalar, Stage, Structure, Support, Type};

const STRUCTURES: [&str; 12] = [
    "real",
    "int",
    "bool",
    "simplex",
    "ordered",
    "positive_ordered",
    "unit_vector",
    "sum_to_zero",
    "cholesky_corr",
    "corr_matrix",
    "cholesky_cov",
    "cov_matrix",
];

impl Checker<'_> {
    /// Resolves a type. `None` after an error.
    pub(super) fn declared(&mut self, ty: &ast::TypeExpr) -> Option<(Support, Type)> {
        let support = self.declared_support(ty)?;
        let ty = self.type_of(&support);
        Some((support, ty))
    }

    /// Returns the type of the values of a support.
    pub(super) fn type_of(&self, support: &Support) -> Type {
        let mut dims: Vec<Dim> = support.array.iter().map(|e| self.dim_of(e)).collect();
        let scalar = match &support.structure {
            Structure::Scalar { scalar, .. } => *scalar,
            Structure::Simplex(k)
            | Structure::Ordered(k)
            | Structure::PositiveOrdered(k)
            | Structure::UnitVector(k)
            | Structure::SumToZero(k) => {
                dims.push(self.dim_of(k));
                Scalar::Real
            }
            Structure::CholeskyCorr(k)
            | Structure::CorrMatrix(k)
            | Structure::CholeskyCov(k)
            | Structure::CovMatrix(k) => {
                let k = self.dim_of(k);
                dims.extend([k.clone(), k]);
                Scalar::Real
            }
        };
        Type::array(scalar, dims)
    }

    fn declared_support(&mut self, ty: &ast::TypeExpr) -> Option<Support> {
        match &ty.kind {
            ast::TypeKind::Base { name, bounds, missing, dims } => {
                let sizes: Vec<Option<Expr>> = dims.iter().map(|dim| self.size(dim)).collect();
                let sizes: Vec<Expr> = sizes.into_iter().collect::<Option<_>>()?;
                if let Some(scalar) = scalar(&name.text) {
                    let mut structure = self.bounds(scalar, bounds)?;
                    self.check_bound_shapes(&mut structure, &sizes);
                    return Some(Support { array: sizes, structure, missing: missing.is_some() });
                }
                let structure = self.structure(name, bounds, sizes, ty.span)?;
                if let Some(mark) = missing {
                    self.report(Diagnostic::error(
                        Code::E0208,
                        *mark,
                        format!("a `{}` cannot have missing elements", name.text),
                        "only `real` and `int` can",
                    ));
                }
                Some(Support { array: Vec::new(), structure, missing: false })
            }
            ast::TypeKind::Array { dims, elem } => {
                let sizes: Vec<Option<Expr>> = dims.iter().map(|dim| self.size(dim)).collect();
                let inner = self.declared_support(elem)?;
                let mut array: Vec<Expr> = sizes.into_iter().collect::<Option<_>>()?;
                array.extend(inner.array);
                Some(Support { array, ..inner })
            }
            ast::TypeKind::Function { .. } => {
                self.report(Diagnostic::error(
                    Code::E0208,
                    ty.span,
                    "a function is no value",
                    "only a parameter of a function can have this type",
                ));
                None
            }
        }
    }

    fn structure(
        &mut self,
        name: &ast::Ident,
        bounds: &[ast::Bound],
        mut sizes: Vec<Expr>,
        span: Span,
    ) -> Option<Structure> {
        let make: fn(Expr) -> Structure = match name.text.as_str() {
            "simplex" => Structure::Simplex,
            "ordered" => Structure::Ordered,
            "positive_ordered" => Structure::PositiveOrdered,
            "unit_vector" => Structure::UnitVector,
            "sum_to_zero" => Structure::SumToZero,
            "cholesky_corr" => Structure::CholeskyCorr,
            "corr_matrix" => Structure::CorrMatrix,
            "cholesky_cov" => Structure::CholeskyCov,
            "cov_matrix" => Structure::CovMatrix,
            _ => {
                self.report_unknown_type(name);
                return None;
            }
        };
        if let Some(bound) = bounds.first() {
            self.report(Diagnostic::error(
                Code::E0208,
                bound.span,
                format!("a `{}` has no bounds", name.text),
                "its structure decides what values it takes",
            ));
            return None;
        }
        if sizes.len() != 1 {
            let message = format!("a `{}` has one size, found {}", name.text, sizes.len());
            self.report(
                Diagnostic::error(Code::E0208, span, message, "one size wanted here").with_help(
                    format!("`{0}[K]`; an array of them is `array[M] {0}[K]`", name.text),
                ),
            );
            return None;
        }
        sizes.pop().map(make)
    }

    fn report_unknown_type(&mut self, name: &ast::Ident) {
        let mut diagnostic = Diagnostic::error(
            Code::E0108,
            name.span,
            format!("unknown type `{}`", name.text),
            "not a type",
        );
        let foreign = match name.text.as_str() {
            "vector" | "row_vector" => Some(("real", "a vector is `real[N]`")),
            "matrix" => Some(("real", "a matrix is `real[M, N]`")),
            "float" | "double" | "number" | "num" => Some(("real", "a number is a `real`")),
            "cholesky_factor_corr" => Some(("cholesky_corr", "it is `cholesky_corr[K]`")),
            "cholesky_factor_cov" => Some(("cholesky_cov", "it is `cholesky_cov[K]`")),
            "sum_to_zero_vector" => Some(("sum_to_zero", "it is `sum_to_zero[K]`")),
            "integer" | "count" => Some(("int", "an integer is an `int`")),
            "boolean" | "logical" => Some(("bool", "a truth value is a `bool`")),
            _ => None,
        };
        if let Some((ours, form)) = foreign {
            diagnostic.primary.text = form.into();
            diagnostic = diagnostic.with_fix(format!("write `{ours}`"), name.span, ours);
        } else if matches!(name.text.as_str(), "string" | "str" | "char" | "text" | "factor") {
            diagnostic = diagnostic
                .with_help("text is no data; number the categories: `int<lower=1, upper=K>[N]`");
        } else if name.text.starts_with("complex") {
            diagnostic = diagnostic.with_help("numbers are real; declare two parts");
        } else if let Some(near) = suggest::nearest(&name.text, STRUCTURES.into_iter()) {
            diagnostic.primary.text = format!("did you mean `{near}`?");
            diagnostic = diagnostic.with_fix(format!("write `{near}`"), name.span, near);
        }
        self.report(diagnostic);
    }

    fn bounds(&mut self, scalar: Scalar, bounds: &[ast::Bound]) -> Option<Structure> {
        let (mut lower, mut upper, mut offset, mut multiplier) = (None, None, None, None);
        let mut good = true;
        for bound in bounds {
            let slot = match bound.name.text.as_str() {
                "lower" => &mut lower,
                "upper" => &mut upper,
                "offset" => &mut offset,
                "multiplier" => &mut multiplier,
                other => {
                    let near = match other {
                        "min" | "minimum" | "low" | "lb" | "ge" | "gt" => Some("lower"),
                        "max" | "maximum" | "high" | "ub" | "le" | "lt" => Some("upper"),
                        "loc" | "location" => Some("offset"),
                        "scale" => Some("multiplier"),
                        _ => suggest::nearest(
                            other,
                            ["lower", "upper", "offset", "multiplier"].into_iter(),
                        ),
                    };
                    let mut diagnostic = Diagnostic::error(
                        Code::E0108,
                        bound.name.span,
                        format!("unknown bound `{other}`"),
                        "`lower`, `upper`, `offset` or `multiplier`",
                    );
                    if let Some(near) = near {
                        let title = format!("write `{near}`");
                        diagnostic = diagnostic.with_fix(title, bound.name.span, near);
                    }
                    self.report(diagnostic);
                    good = false;
                    continue;
                }
            };
            if slot.is_some() {
                let message = format!("`{}` is given twice", bound.name.text);
                self.report(Diagnostic::error(Code::E0208, bound.span, message, "again here"));
                continue;
            }
            let value = self.expr(&bound.value);
            *slot = Some(value);
            let affine = matches!(bound.name.text.as_str(), "offset" | "multiplier");
            if scalar == Scalar::Bool || affine && scalar == Scalar::Int {
                self.report(Diagnostic::error(
                    Code::E0208,
                    bound.span,
                    format!("`{}` takes no `{}`", scalar.name(), bound.name.text),
                    "not for this type",
                ));
            }
        }
        for bound in [&lower, &upper, &offset, &multiplier].into_iter().flatten() {
            if bound.ty.scalar() == Some(Scalar::Bool) || matches!(bound.ty, Type::Function { .. })
            {
                let found = self.show(&bound.ty);
                self.report(Diagnostic::error(
                    Code::E0201,
                    bound.span,
                    "a bound is a number",
                    format!("this is {found}"),
                ));
            }
        }
        if let (Some(low), Some(high)) = (&lower, &upper) {
            let (least, most) = (self.interval(low).lo, self.interval(high).hi);
            if least > most {
                let message = "the lower bound is above the upper bound";
                self.report(
                    Diagnostic::error(Code::E0208, high.span, message, format!("at most {most}"))
                        .with_label(low.span, format!("at least {least}")),
                );
            }
        }
        good.then_some(Structure::Scalar { scalar, lower, upper, offset, multiplier })
    }

    /// A bound is a scalar or of the array's shape.
    fn check_bound_shapes(&mut self, structure: &mut Structure, sizes: &[Expr]) {
        let Structure::Scalar { lower, upper, offset, multiplier, .. } = structure else { return };
        let dims: Vec<Dim> = sizes.iter().map(|size| self.dim_of(size)).collect();
        for bound in [lower, upper, offset, multiplier] {
            let Some(expr) = bound else { continue };
            if expr.ty.dims().is_empty() {
                continue;
            }
            if let Some(problem) = self.differing(expr.ty.dims(), &dims) {
                let found = self.show(&expr.ty);
                let wanted = self.show_dims(&dims);
                self.report(
                    Diagnostic::error(
                        Code::E0202,
                        expr.span,
                        format!("the bound has another shape than the variable: {problem}"),
                        format!("this is {found}"),
                    )
                    .with_note(format!("a bound is a scalar or has the shape {wanted}")),
                );
                *bound = None;
            }
        }
    }

    /// Checks the size of an axis: an integer that is known once data is loaded.
    pub(super) fn size(&mut self, dim: &ast::Expr) -> Option<Expr> {
        let size = self.expr(dim);
        if size.ty.is_error() {
            return None;
        }
        if let ExprKind::Int(n) = size.kind {
            self.literal_sizes.push((n, dim.span));
        }
        if !self.require_int(&size, "a size") || !self.require_data(&size, "a size") {
            return None;
        }
        let value = self.dim_of(&size).as_constant();
        if value.is_some_and(|n| n < 0) {
            let message = "a size cannot be negative";
            self.report(Diagnostic::error(Code::E0205, dim.span, message, "negative"));
            return None;
        }
        Some(size)
    }

    /// Checks that an expression is one integer.
    pub(super) fn require_int(&mut self, e: &Expr, what: &str) -> bool {
        if e.ty.is_error() {
            return false;
        }
        let int = matches!(e.ty.scalar(), Some(Scalar::Int)) && e.ty.rank() == Some(0);
        if !int {
            let found = self.show(&e.ty);
            let mut diagnostic = Diagnostic::error(
                Code::E0205,
                e.span,
                format!("{what} is an integer, found {found}"),
                format!("this is {found}"),
            );
            if let ExprKind::Builtin(super::builtins::Builtin::Div, _) = e.kind {
                diagnostic = diagnostic.with_help("`/` divides reals; write `int_div(a, b)`");
            } else if e.ty.scalar() == Some(Scalar::Real) && e.ty.rank() == Some(0) {
                diagnostic = diagnostic.with_help("`int(x)` truncates to an integer");
            }
            self.report(diagnostic);
        }
        int
    }

    /// Checks that an expression is known once data is loaded; a discrete latent, which is summed
    /// out, counts as known where `what` is an index.
    pub(super) fn require_data(&mut self, e: &Expr, what: &str) -> bool {
        self.note_needs_data(e);
        if e.stage == Stage::Data || e.ty.is_error() {
            return true;
        }
        let culprit = self.culprit(e, Stage::Data);
        let mut diagnostic = Diagnostic::error(
            Code::E0301,
            e.span,
            format!("{what} has to be known once data is loaded"),
            "depends on a parameter",
        );
        if e.stage == Stage::Generated {
            diagnostic.primary.text = "known only after inference".into();
        }
        if let Some((var, _)) = culprit {
            let var = self.model.var(var);
            diagnostic =
                diagnostic.with_label(var.span, format!("`{}` is declared here", var.name));
        }
        self.report(diagnostic);
        false
    }

    /// Remembers which arguments of the function being checked have to be known with the data.
    pub(super) fn note_needs_data(&mut self, e: &Expr) {
        let mut arguments = Vec::new();
        super::visit::vars(e, &mut |var, _| arguments.push(var));
        self.facts.needs_data.extend(arguments);
    }

    /// Finds the first variable in an expression that is known later than `stage`.
    pub(super) fn culprit(&self, e: &Expr, stage: Stage) -> Option<(super::typed::VarId, Span)> {
        let mut found = None;
        super::visit::vars(e, &mut |var, span| {
            if found.is_none() && self.model.var(var).stage > stage {
                found = Some((var, span));
            }
        });
        found
    }
}

fn scalar(name: &str) -> Option<Scalar> {
    Some(match name {
        "real" => Scalar::Real,
        "int" => Scalar::Int,
        "bool" => Scalar::Bool,
        _ => return None,
    })
}
