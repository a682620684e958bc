//! Declared data meets the data file: sizes are bound, types, shapes and bounds are checked.

use std::collections::HashMap;

use crate::check::typed::{Expr, ExprKind, Scalar, Structure, Support, Type, VarId, VarKind};
use crate::data::{DataArray, DataSet, unravel};
use crate::diagnostics::{Code, Diagnostic, nearest};
use crate::ir::{DType, Shape, Tensor, Type as IrType};
use crate::source::Span;

use super::Lower;
use super::lowerer::Lowerer;
use super::missing::Missing;
use super::value::Val;
use super::walk::any_expr;

/// Where each size got its value: the declaration and the field.
pub(super) type SizeOrigins = HashMap<VarId, (Span, String)>;

impl Lowerer<'_> {
    /// Binds one `data` declaration. Missing elements are noted, and 0 for now.
    pub(super) fn bind(
        &mut self,
        var: VarId,
        support: &Support,
        default: Option<&Expr>,
        file: &DataSet,
        origins: &mut SizeOrigins,
    ) -> Lower<()> {
        let entry = self.model.var(var);
        self.at(entry.span, |l| {
            let name = l.field(var, file);
            let Some(array) = file.get(name) else {
                let Some(default) = default else { return Err(l.absent(&entry.name, file)) };
                let value = l.expr(default)?;
                l.define(var, value);
                return Ok(());
            };
            l.check_missing(var, name, array, support, file)?;
            let missing: Vec<usize> = array.missing_elements().collect();
            let mut numbers = l.numbers_of(name, array, &entry.ty, file)?;
            l.check_shape(var, array, support, file, origins)?;
            missing.iter().for_each(|&i| numbers[i] = 0.0);
            let ty = IrType::new(dtype(&entry.ty), Shape::from(&array.shape[..]));
            let tensor = Tensor::new(ty.clone(), numbers);
            let id = l.b.input(super::input_name(&entry.name), ty);
            let index = u32::try_from(l.b.function().inputs.len() - 1).expect("few inputs");
            l.data.insert(index, tensor);
            l.define(var, Val::plain(id));
            if !missing.is_empty() {
                l.missing.insert(var, Missing { positions: missing, known: id });
            }
            Ok(())
        })
    }

    /// The field of the file that a variable reads. A name with an underscore behind it, as that of a
    /// field called like a word of the language needs, also reads the field without.
    fn field(&self, var: VarId, file: &DataSet) -> &str {
        let name = &self.model.var(var).name;
        let plain = name.strip_suffix('_').filter(|plain| file.get(plain).is_some());
        plain.filter(|_| file.get(name).is_none()).unwrap_or(name)
    }

    /// Whether the declared bounds can be evaluated: a size in them may come from later data.
    pub(super) fn bounds_known(&self, support: &Support) -> bool {
        let Structure::Scalar { lower, upper, .. } = &support.structure else { return true };
        let unknown = |e: &Expr| {
            any_expr(e, &mut |x| matches!(&x.kind, ExprKind::Var(v) if !self.env.contains_key(v)))
        };
        !lower.iter().chain(upper).any(unknown)
    }

    /// Checks bound data against its declared bounds and structure.
    pub(super) fn check_bound(
        &mut self,
        var: VarId,
        support: &Support,
        file: &DataSet,
    ) -> Lower<()> {
        let name = self.field(var, file).to_owned();
        let Some(array) = file.get(&name) else { return Ok(()) };
        let value = self.env[&var].clone();
        let Some(tensor) = self.numbers(value.id) else { return Ok(()) };
        self.at(self.model.var(var).span, |l| l.check_values(&name, &tensor, support, array, file))
    }

    fn absent(&self, name: &str, file: &DataSet) -> Box<Diagnostic> {
        let fields: Vec<&str> = file.iter().map(|(n, _)| n).collect();
        let message = format!("`{name}` is not in the data file {}", file.file());
        let error = Diagnostic::error(Code::E0411, self.here(), message, "declared as data here");
        let error = if fields.is_empty() {
            error.with_note("the data has no fields")
        } else {
            error.with_note(format!("fields in the file: {}", fields.join(", ")))
        };
        let undeclared =
            fields.iter().copied().filter(|f| self.model.vars.iter().all(|v| v.name != **f));
        if let Some(near) = nearest(name, undeclared) {
            return Box::new(error.with_help(format!(
                "did you mean the field `{near}`? A field has the name of its declaration"
            )));
        }
        Box::new(error.with_help(format!(
            "add `{name}` to the file, or give a default: `data {name}: … = value`"
        )))
    }

    fn check_missing(
        &self,
        var: VarId,
        name: &str,
        array: &DataArray,
        support: &Support,
        file: &DataSet,
    ) -> Lower<()> {
        let first = array.missing_elements().next().filter(|_| !support.missing);
        let Some(first) = first else { return Ok(()) };
        let place = place(name, array, first, file);
        let error = self.error(
            Code::E0415,
            format!("{place} is null, but `{name}` is not declared to have missing values"),
            "declared without `?`",
        );
        let help = match dtype(&self.model.var(var).ty) {
            DType::Real => "declare it as `real?[…]` to have missing values imputed",
            _ => "declare it as `int<lower=…, upper=…>?[…]` to have missing values summed out",
        };
        Err(Box::new(error.with_help(help)))
    }

    /// The elements as numbers of the declared element type.
    fn numbers_of(
        &self,
        name: &str,
        array: &DataArray,
        ty: &Type,
        file: &DataSet,
    ) -> Lower<Vec<f64>> {
        let wrong = |at: usize, what: &str| {
            let place = place(name, array, at, file);
            let value = array.to_reals()[at];
            Err(self.error(
                Code::E0412,
                format!("{place} is {value}, but `{name}` is declared {what}"),
                format!("declared {what} here"),
            ))
        };
        match dtype(ty) {
            DType::Int => match array.to_ints() {
                #[allow(clippy::cast_precision_loss, reason = "exact below 2^53")]
                Ok(ints) => Ok(ints.into_iter().map(|i| i as f64).collect()),
                Err(at) => wrong(at, "int"),
            },
            DType::Bool => {
                let numbers = array.to_reals();
                match numbers.iter().position(|&x| x != 0.0 && x != 1.0) {
                    Some(at) => wrong(at, "bool"),
                    None => Ok(numbers),
                }
            }
            DType::Real | DType::Tuple => Ok(array.to_reals()),
        }
    }

    /// Compares the shape in the file with the declared one; binds sizes that are new.
    fn check_shape(
        &mut self,
        var: VarId,
        array: &DataArray,
        support: &Support,
        file: &DataSet,
        origins: &mut SizeOrigins,
    ) -> Lower<()> {
        let entry = self.model.var(var);
        let mut sizes: Vec<&Expr> = support.array.iter().collect();
        match &support.structure {
            Structure::Scalar { .. } => {}
            Structure::Simplex(k)
            | Structure::Ordered(k)
            | Structure::PositiveOrdered(k)
            | Structure::UnitVector(k)
            | Structure::SumToZero(k) => sizes.push(k),
            Structure::CholeskyCorr(k)
            | Structure::CorrMatrix(k)
            | Structure::CholeskyCov(k)
            | Structure::CovMatrix(k) => sizes.extend([k, k]),
        }
        let name = &entry.name;
        if array.shape.len() != sizes.len() {
            let found = match array.shape.as_slice() {
                [] => "is a scalar".into(),
                shape => format!("has shape {}", show(shape)),
            };
            let declared = match sizes.len() {
                0 => "it is declared a scalar".into(),
                1 => "1 dimension is declared".into(),
                n => format!("{n} dimensions are declared"),
            };
            let message = format!("`{name}` {found} in {}, but {declared}", file.file());
            let help = match (array.shape.as_slice(), sizes.len()) {
                ([1], 0) => "write the number without brackets in the file".to_string(),
                ([], 1) => "write it in brackets in the file, also a single number: `[3]`".into(),
                (shape, _) => format!(
                    "the levels of brackets in the file are the dimensions: `{name}` has {}",
                    shape.len()
                ),
            };
            return Err(Box::new(
                self.error(Code::E0413, message, "declared here").with_help(help),
            ));
        }
        for (axis, (&n, size)) in array.shape.iter().zip(&sizes).enumerate() {
            if let ExprKind::Var(v) = size.kind
                && self.model.var(v).kind == VarKind::Size
                && !self.env.contains_key(&v)
            {
                let value = self.int(n);
                self.define(v, value);
                origins.insert(v, (size.span, format!("`{name}` has {}", show(&array.shape))));
                self.check_size_field(v, n, size.span, name, file)?;
                continue;
            }
            let declared = self.expr(size)?;
            let declared = self.at(size.span, |l| l.size(&declared))?;
            if declared != n {
                let message = format!(
                    "axis {} of `{name}` has {n} elements in {}, but {declared} are declared",
                    axis + 1,
                    file.file()
                );
                let mut error = Diagnostic::error(
                    Code::E0413,
                    size.span,
                    message,
                    format!(
                        "this is {declared}; the file's `{name}` has shape {}",
                        show(&array.shape)
                    ),
                );
                if let ExprKind::Var(v) = size.kind {
                    match origins.get(&v) {
                        Some((span, why)) => {
                            error = error
                                .with_label(*span, format!("{declared} comes from here: {why}"))
                        }
                        None => {
                            error = error.with_label(
                                self.model.var(v).span,
                                format!("{declared} comes from here"),
                            )
                        }
                    }
                }
                return Err(Box::new(error));
            }
        }
        Ok(())
    }

    /// A file may state a size that the model takes from a shape; then the two have to agree.
    fn check_size_field(
        &self,
        size: VarId,
        n: usize,
        span: Span,
        from: &str,
        file: &DataSet,
    ) -> Lower<()> {
        let stated = &self.model.var(size).name;
        let Some(field) = file.get(stated).filter(|a| a.shape.is_empty()) else { return Ok(()) };
        #[allow(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
        if field.to_reals()[0] == n as f64 {
            return Ok(());
        }
        let place = place(stated, field, 0, file);
        let message = format!("{place} is {}, but `{from}` makes it {n}", field.to_reals()[0]);
        Err(Box::new(Diagnostic::error(
            Code::E0413,
            span,
            message,
            format!("`{stated}` is {n} here"),
        )))
    }

    /// Checks the declared bounds and structure.
    fn check_values(
        &mut self,
        name: &str,
        tensor: &Tensor,
        support: &Support,
        array: &DataArray,
        file: &DataSet,
    ) -> Lower<()> {
        let outside = |l: &Self, at: usize, what: String| {
            let place = place(name, array, at, file);
            let value = tensor.data[at];
            Err(l.error(Code::E0414, format!("{place} is {value}, {what}"), "declared here"))
        };
        match &support.structure {
            Structure::Scalar { lower, upper, .. } => {
                for (bound, below) in [(lower, true), (upper, false)] {
                    let Some(bound) = bound else { continue };
                    let value = self.expr(bound)?;
                    let Some(limit) = self.numbers(value.id) else { continue };
                    let at_least = |i: usize| limit.data[if limit.data.len() == 1 { 0 } else { i }];
                    let present = |&(i, _): &(usize, &f64)| !array.is_missing(i);
                    let bad = tensor.data.iter().enumerate().filter(present).find(|&(i, &x)| {
                        x.is_nan() || if below { x < at_least(i) } else { x > at_least(i) }
                    });
                    if let Some((i, _)) = bad {
                        let side = if below {
                            "below the declared lower"
                        } else {
                            "above the declared upper"
                        };
                        return outside(self, i, format!("{side} bound {}", at_least(i)));
                    }
                }
                Ok(())
            }
            Structure::Simplex(_) => {
                let k = tensor.ty.shape.last().copied().unwrap_or(1).max(1);
                for (row, x) in tensor.data.chunks(k).enumerate() {
                    let total: f64 = x.iter().sum();
                    if x.iter().any(|&p| p.is_nan() || p < 0.0) || (total - 1.0).abs() > 1e-8 {
                        return outside(
                            self,
                            row * k,
                            format!("the start of a simplex that sums to {total}"),
                        );
                    }
                }
                Ok(())
            }
            Structure::Ordered(_) | Structure::PositiveOrdered(_) => {
                let k = tensor.ty.shape.last().copied().unwrap_or(1).max(1);
                let positive = matches!(support.structure, Structure::PositiveOrdered(_));
                for (row, x) in tensor.data.chunks(k).enumerate() {
                    if positive && x[0] <= 0.0 {
                        return outside(self, row * k, "and has to be positive".into());
                    }
                    if let Some(i) = x.windows(2).position(|w| w[0] >= w[1]) {
                        return outside(
                            self,
                            row * k + i + 1,
                            "not above the element before it".into(),
                        );
                    }
                }
                Ok(())
            }
            Structure::UnitVector(_) | Structure::SumToZero(_) => {
                let k = tensor.ty.shape.last().copied().unwrap_or(1).max(1);
                for (row, x) in tensor.data.chunks(k).enumerate() {
                    let sum_of = |f: fn(f64) -> f64| x.iter().map(|&v| f(v)).sum::<f64>();
                    let (total, wanted, what) = match &support.structure {
                        Structure::UnitVector(_) => (sum_of(|v| v * v), 1.0, "whose squares sum"),
                        _ => (sum_of(|v| v), 0.0, "that sums"),
                    };
                    if total.is_nan() || (total - wanted).abs() > 1e-8 {
                        let what = format!("the start of a vector {what} to {total}, not {wanted}");
                        return outside(self, row * k, what);
                    }
                }
                Ok(())
            }
            structure @ (Structure::CholeskyCorr(_)
            | Structure::CorrMatrix(_)
            | Structure::CholeskyCov(_)
            | Structure::CovMatrix(_)) => {
                let k = tensor.ty.shape.last().copied().unwrap_or(1).max(1);
                for (matrix, x) in tensor.data.chunks(k * k).enumerate() {
                    if let Some((at, what)) = matrix_fault(structure, x, k) {
                        return outside(self, matrix * k * k + at, what);
                    }
                }
                Ok(())
            }
        }
    }
}

/// The first element, row-major, at which `x[k, k]` is not what its type says, and why.
fn matrix_fault(structure: &Structure, x: &[f64], k: usize) -> Option<(usize, String)> {
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-8 * (1.0 + b.abs());
    let pairs = || (0..k).flat_map(|i| (0..i).map(move |j| (i, j)));
    let factor = matches!(structure, Structure::CholeskyCorr(_) | Structure::CholeskyCov(_));
    if factor {
        if let Some((i, j)) = pairs().find(|&(i, j)| x[j * k + i] != 0.0) {
            return Some((j * k + i, "above the diagonal of a lower-triangular matrix".into()));
        }
        if let Some(i) = (0..k).find(|i| x[i * k + i].is_nan() || x[i * k + i] <= 0.0) {
            return Some((i * k + i, "on a diagonal that has to be positive".into()));
        }
        let squares = |i: usize| x[i * k..][..k].iter().map(|v| v * v).sum::<f64>();
        if matches!(structure, Structure::CholeskyCorr(_))
            && let Some(i) = (0..k).find(|&i| !close(squares(i), 1.0))
        {
            let what = format!("the start of a row whose squares sum to {}, not 1", squares(i));
            return Some((i * k, what));
        }
        return None;
    }
    if let Some((i, j)) = pairs().find(|&(i, j)| !close(x[i * k + j], x[j * k + i])) {
        let what = format!("but its mirror image is {}: not symmetric", x[j * k + i]);
        return Some((i * k + j, what));
    }
    if matches!(structure, Structure::CorrMatrix(_))
        && let Some(i) = (0..k).find(|i| !close(x[i * k + i], 1.0))
    {
        return Some((i * k + i, "on the diagonal of a correlation matrix, not 1".into()));
    }
    // Its Cholesky factor, by rows; the first pivot that is not positive tells.
    let mut factor = vec![0.0; k * k];
    for i in 0..k {
        for j in 0..=i {
            let dot: f64 = (0..j).map(|l| factor[i * k + l] * factor[j * k + l]).sum();
            let rest = x[i * k + j] - dot;
            if i == j && (rest.is_nan() || rest <= 0.0) {
                return Some((i * k + i, "where the matrix stops being positive definite".into()));
            }
            factor[i * k + j] = if i == j { rest.sqrt() } else { rest / factor[j * k + j] };
        }
    }
    None
}

/// `y[3] in data.json:1:20`.
pub(super) fn place(name: &str, array: &DataArray, at: usize, file: &DataSet) -> String {
    let index = unravel(&array.shape, at);
    let index: Vec<String> = index.iter().map(usize::to_string).collect();
    let index = if index.is_empty() { String::new() } else { format!("[{}]", index.join(", ")) };
    let line = file
        .position(name, Some(at))
        .map_or(String::new(), |p| format!(":{}:{}", p.line, p.column));
    format!("{name}{index} in {}{line}", file.file())
}

fn show(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    if sizes.is_empty() { "of a scalar".into() } else { format!("[{}]", sizes.join(", ")) }
}

/// The IR element type of a declared type.
pub(super) fn dtype(ty: &Type) -> DType {
    match ty {
        Type::Array { scalar: Scalar::Bool, .. } => DType::Bool,
        Type::Array { scalar: Scalar::Int, .. } => DType::Int,
        Type::Array { scalar: Scalar::Real, .. } | Type::Function { .. } | Type::Error => {
            DType::Real
        }
    }
}
