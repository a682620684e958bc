//! Calls of primitives: one arm per [`Signature`].

use crate::diagnostics::{Code, Diagnostic};
use crate::source::Span;

use super::builtins::{Builtin, Signature};
use super::checker::Checker;
use super::infer::{error, latest};
use super::print;
use super::shape::Dim;
use super::typed::{Expr, ExprKind, Scalar, Stage, Type};

impl Checker<'_> {
    /// Checks a primitive applied to arguments; `at` is its name or operator.
    pub(super) fn primitive(
        &mut self,
        builtin: Builtin,
        args: Vec<Expr>,
        span: Span,
        at: Span,
    ) -> Expr {
        let builtin = match (builtin, args.len()) {
            (Builtin::Min, 1) => Builtin::ReduceMin,
            (Builtin::Max, 1) => Builtin::ReduceMax,
            (Builtin::LogSumExp, 2) => Builtin::LogAddExp,
            _ => builtin,
        };
        if args.iter().any(|arg| arg.ty.is_error()) {
            return error(span);
        }
        if let Some(function) = args.iter().find(|arg| matches!(arg.ty, Type::Function { .. })) {
            let (span, message) = (function.span, "a function is no value");
            self.report(Diagnostic::error(Code::E0105, span, message, "a function"));
            return error(span);
        }
        let Some(ty) = self.primitive_type(builtin, &args, span, at) else { return error(span) };
        let stage = match builtin.signature() {
            Signature::RandomReal(_) | Signature::RandomInt(_) => Stage::Generated,
            // A shape is known with the data, whatever the elements.
            Signature::ShapeInt | Signature::Sizes => Stage::Data,
            _ => latest(&args),
        };
        Expr { kind: ExprKind::Builtin(builtin, args), ty, stage, span }
    }

    fn primitive_type(
        &mut self,
        builtin: Builtin,
        args: &[Expr],
        span: Span,
        at: Span,
    ) -> Option<Type> {
        let signature = builtin.signature();
        let name = builtin.name();
        let scalars: Vec<Scalar> = args.iter().filter_map(|arg| arg.ty.scalar()).collect();
        let top = scalars.iter().copied().max().unwrap_or(Scalar::Real);
        let all: Vec<&Expr> = args.iter().collect();
        match signature {
            Signature::Real(n) => {
                self.count(builtin, args, n, span)?;
                self.at_most(builtin, args, Scalar::Real, at)?;
                Some(Type::array(Scalar::Real, self.elementwise(name, at, &all)?))
            }
            Signature::Number(n) => {
                self.count(builtin, args, n, span)?;
                Some(Type::array(top.max(Scalar::Int), self.elementwise(name, at, &all)?))
            }
            Signature::Int(n) => {
                self.count(builtin, args, n, span)?;
                self.at_most(builtin, args, Scalar::Int, at)?;
                Some(Type::array(Scalar::Int, self.elementwise(name, at, &all)?))
            }
            Signature::Compare(n) => {
                self.count(builtin, args, n, span)?;
                Some(Type::array(Scalar::Bool, self.elementwise(name, at, &all)?))
            }
            Signature::Logic(n) => {
                self.count(builtin, args, n, span)?;
                self.at_most(builtin, args, Scalar::Bool, at)?;
                Some(Type::array(Scalar::Bool, self.elementwise(name, at, &all)?))
            }
            Signature::Convert(scalar) => {
                self.count(builtin, args, 1, span)?;
                Some(Type::array(scalar, args[0].ty.dims().to_vec()))
            }
            Signature::Reduce | Signature::ReduceReal => {
                self.count(builtin, args, 1, span)?;
                if args[0].ty.dims().is_empty() {
                    let mut diagnostic =
                        self.wrong_argument(builtin, &args[0], "an array is reduced to one number");
                    if matches!(builtin, Builtin::ReduceMin | Builtin::ReduceMax) {
                        let call = print::primitive_name(builtin);
                        diagnostic =
                            diagnostic.with_help(format!("of two numbers: `{call}(a, b)`"));
                    }
                    self.report(diagnostic);
                    return None;
                }
                let real = signature == Signature::ReduceReal;
                Some(if real { Type::REAL } else { Type::array(top.max(Scalar::Int), Vec::new()) })
            }
            Signature::Dot => {
                self.count(builtin, args, 2, span)?;
                self.rank(builtin, &args[0], &[1])?;
                self.rank(builtin, &args[1], &[1])?;
                self.elementwise(name, at, &all)?;
                Some(Type::REAL)
            }
            Signature::VectorToVector => {
                self.count(builtin, args, 1, span)?;
                self.rank(builtin, &args[0], &[1])?;
                Some(Type::array(Scalar::Real, args[0].ty.dims().to_vec()))
            }
            Signature::VectorToInts => {
                self.count(builtin, args, 1, span)?;
                self.rank(builtin, &args[0], &[1])?;
                Some(Type::array(Scalar::Int, args[0].ty.dims().to_vec()))
            }
            Signature::MatMul => {
                self.count(builtin, args, 2, span)?;
                self.matrix_product(&args[0], &args[1], at)
            }
            Signature::Transpose => {
                self.count(builtin, args, 1, span)?;
                self.rank(builtin, &args[0], &[2])?;
                let dims = args[0].ty.dims();
                Some(Type::array(top, vec![dims[1].clone(), dims[0].clone()]))
            }
            Signature::SquareToSquare => {
                self.count(builtin, args, 1, span)?;
                self.square(builtin, &args[0])?;
                Some(Type::array(Scalar::Real, args[0].ty.dims().to_vec()))
            }
            Signature::Solve => {
                self.count(builtin, args, 2, span)?;
                self.square(builtin, &args[0])?;
                self.rank(builtin, &args[1], &[1, 2])?;
                self.same_length(name, at, (&args[0], 1), (&args[1], 0))?;
                Some(Type::array(Scalar::Real, args[1].ty.dims().to_vec()))
            }
            Signature::SquareToReal => {
                self.count(builtin, args, 1, span)?;
                self.square(builtin, &args[0])?;
                Some(Type::REAL)
            }
            Signature::SquareToTall => {
                self.count(builtin, args, 1, span)?;
                self.square(builtin, &args[0])?;
                let n = &args[0].ty.dims()[0];
                Some(Type::array(Scalar::Real, vec![n.offset(1), n.clone()]))
            }
            Signature::VectorToSquare => {
                self.count(builtin, args, 1, span)?;
                self.rank(builtin, &args[0], &[1])?;
                let n = args[0].ty.dims()[0].clone();
                Some(Type::array(top.max(Scalar::Int), vec![n.clone(), n]))
            }
            Signature::SquareToVector => {
                self.count(builtin, args, 1, span)?;
                self.square(builtin, &args[0])?;
                Some(Type::array(top, vec![args[0].ty.dims()[0].clone()]))
            }
            Signature::Columns => {
                self.count(builtin, args, 1, span)?;
                self.rank(builtin, &args[0], &[2])?;
                Some(Type::array(Scalar::Real, vec![args[0].ty.dims()[1].clone()]))
            }
            Signature::ShapeInt => {
                self.count(builtin, args, 1, span)?;
                match builtin {
                    Builtin::Rows => self.rank(builtin, &args[0], &[1, 2])?,
                    Builtin::Cols => self.rank(builtin, &args[0], &[2])?,
                    _ => {}
                }
                Some(Type::INT)
            }
            Signature::Flat => {
                self.count(builtin, args, 1, span)?;
                Some(Type::array(top, vec![length(args[0].ty.dims())]))
            }
            Signature::Sizes => {
                self.count(builtin, args, 1, span)?;
                let rank = i64::try_from(args[0].ty.dims().len()).unwrap_or(i64::MAX);
                Some(Type::array(Scalar::Int, vec![Dim::constant(rank)]))
            }
            Signature::Reshape => {
                let Some((array, sizes)) = args.split_first() else {
                    self.report_count(builtin, "an array and sizes", 0, span);
                    return None;
                };
                let dims = self.sizes(builtin, sizes, span)?;
                let (from, to) = (length(array.ty.dims()), length(&dims));
                if let Some(problem) = self.differing(&[from], &[to]) {
                    let wanted = Type::array(array.ty.scalar()?, dims);
                    let (found, wanted) = (self.show(&array.ty), self.show(&wanted));
                    self.report(
                        Diagnostic::error(
                            Code::E0202,
                            span,
                            format!("{found} has no room in {wanted}: {problem}"),
                            "as many elements before as after",
                        )
                        .with_label(array.span, format!("this is {found}")),
                    );
                    return None;
                }
                Some(Type::array(array.ty.scalar()?, dims))
            }
            Signature::Filled => {
                let dims = self.sizes(builtin, args, span)?;
                Some(Type::array(Scalar::Real, dims))
            }
            Signature::Fill => {
                let Some((element, sizes)) = args.split_last() else {
                    self.report_count(builtin, "sizes and an element", 0, span);
                    return None;
                };
                let mut dims = self.sizes(builtin, sizes, span)?;
                dims.extend_from_slice(element.ty.dims());
                Some(Type::array(element.ty.scalar()?, dims))
            }
            Signature::Append if builtin == Builtin::AppendCol => {
                self.append_columns(args, top, span, at)
            }
            Signature::Append => self.append(args, top, span, at),
            Signature::Same => {
                self.count(builtin, args, 1, span)?;
                if args[0].ty.dims().is_empty() {
                    let diagnostic = self.wrong_argument(builtin, &args[0], "an array is wanted");
                    self.report(diagnostic);
                    return None;
                }
                Some(args[0].ty.clone())
            }
            Signature::Solver { .. } => unreachable!("bug in ppl: for `solver_call`"),
            Signature::Constant => {
                self.count(builtin, args, 0, span)?;
                Some(Type::REAL)
            }
            // Sizes make an array of independent draws.
            Signature::RandomReal(0) if !args.is_empty() => {
                Some(Type::array(Scalar::Real, self.sizes(builtin, args, span)?))
            }
            Signature::RandomReal(n) => {
                self.count(builtin, args, n, span)?;
                Some(Type::array(Scalar::Real, self.elementwise(name, at, &all)?))
            }
            Signature::RandomInt(n) => {
                self.count(builtin, args, n, span)?;
                Some(Type::array(Scalar::Int, self.elementwise(name, at, &all)?))
            }
        }
    }

    fn count(&mut self, builtin: Builtin, args: &[Expr], n: usize, span: Span) -> Option<()> {
        if args.len() == n {
            return Some(());
        }
        let wanted = match n {
            0 => "no argument".to_string(),
            1 => "one argument".to_string(),
            n => format!("{n} arguments"),
        };
        self.report_count(builtin, &wanted, args.len(), span);
        None
    }

    fn report_count(&mut self, builtin: Builtin, wanted: &str, found: usize, span: Span) {
        let name = print::primitive_name(builtin);
        self.report(Diagnostic::error(
            Code::E0106,
            span,
            format!("`{name}` takes {wanted}, found {found}"),
            format!("takes {}", print::signature(builtin.signature())),
        ));
    }

    fn wrong_argument(&self, builtin: Builtin, arg: &Expr, wanted: &str) -> Diagnostic {
        let found = self.show(&arg.ty);
        let name = print::primitive_name(builtin);
        let code = if arg.ty.scalar().is_some() && wanted.contains("wanted") {
            Code::E0203
        } else {
            Code::E0201
        };
        let message =
            format!("`{name}` takes {}, found {found}", print::signature(builtin.signature()));
        let mut diagnostic = Diagnostic::error(code, arg.span, message, format!("this is {found}"))
            .with_note(wanted);
        if let Some((span, text)) = self.origin(arg) {
            diagnostic = diagnostic.with_label(span, text);
        }
        diagnostic
    }

    fn at_most(&mut self, builtin: Builtin, args: &[Expr], top: Scalar, at: Span) -> Option<()> {
        let too_much = |arg: &&Expr| arg.ty.scalar().is_some_and(|scalar| scalar > top);
        let Some(wrong) = args.iter().find(too_much) else { return Some(()) };
        let found = self.show(&wrong.ty);
        let name = print::primitive_name(builtin);
        let wanted = print::signature(builtin.signature());
        let mut diagnostic = Diagnostic::error(
            Code::E0201,
            wrong.span,
            format!("`{name}` takes {wanted}, found {found}"),
            format!("this is {found}"),
        )
        .with_label(at, format!("takes {wanted}"));
        if top == Scalar::Bool {
            diagnostic = diagnostic.with_help("compare: `x != 0`");
        }
        self.report(diagnostic);
        None
    }

    fn rank(&mut self, builtin: Builtin, arg: &Expr, ranks: &[usize]) -> Option<()> {
        if ranks.contains(&arg.ty.dims().len()) {
            return Some(());
        }
        let wanted = match ranks {
            [1] => "a vector is wanted: one dimension",
            [2] => "a matrix is wanted: two dimensions",
            _ => "a vector or a matrix is wanted: one or two dimensions",
        };
        let diagnostic = self.wrong_argument(builtin, arg, wanted);
        self.report(diagnostic);
        None
    }

    fn square(&mut self, builtin: Builtin, arg: &Expr) -> Option<()> {
        self.rank(builtin, arg, &[2])?;
        let dims = arg.ty.dims();
        if self.differing(&dims[..1], &dims[1..]).is_none() {
            return Some(());
        }
        let found = self.show(&arg.ty);
        let name = print::primitive_name(builtin);
        let mut diagnostic = Diagnostic::error(
            Code::E0202,
            arg.span,
            format!("`{name}` takes a square matrix, found {found}"),
            format!("this is {found}"),
        );
        if let Some((span, text)) = self.origin(arg) {
            diagnostic = diagnostic.with_label(span, text);
        }
        self.report(diagnostic);
        None
    }

    fn same_length(
        &mut self,
        what: &str,
        at: Span,
        a: (&Expr, usize),
        b: (&Expr, usize),
    ) -> Option<()> {
        let left = &a.0.ty.dims()[a.1..=a.1];
        let right = &b.0.ty.dims()[b.1..=b.1];
        match self.differing(left, right) {
            Some(problem) => {
                self.report_shapes(what, at, a.0, b.0, &problem);
                None
            }
            None => Some(()),
        }
    }

    fn matrix_product(&mut self, a: &Expr, b: &Expr, at: Span) -> Option<Type> {
        self.rank(Builtin::MatMul, a, &[1, 2])?;
        self.rank(Builtin::MatMul, b, &[1, 2])?;
        let (left, right) = (a.ty.dims(), b.ty.dims());
        self.same_length("@", at, (a, left.len() - 1), (b, 0))?;
        let mut dims = left[..left.len() - 1].to_vec();
        dims.extend_from_slice(&right[1..]);
        Some(Type::array(Scalar::Real, dims))
    }

    fn sizes(&mut self, builtin: Builtin, args: &[Expr], span: Span) -> Option<Vec<Dim>> {
        if args.is_empty() || args.len() > 4 {
            self.report_count(builtin, "one to four sizes", args.len(), span);
            return None;
        }
        let mut dims = Vec::new();
        for arg in args {
            if !self.require_int(arg, "a size") || !self.require_data(arg, "a size") {
                return None;
            }
            dims.push(self.dim_of(arg));
        }
        Some(dims)
    }

    fn append(&mut self, args: &[Expr], top: Scalar, span: Span, at: Span) -> Option<Type> {
        let Some(first) = args.iter().find(|arg| !arg.ty.dims().is_empty()).or(args.first()) else {
            self.report_count(Builtin::Append, "arrays", 0, span);
            return None;
        };
        let trailing = |e: &Expr| e.ty.dims().get(1..).unwrap_or_default().to_vec();
        let mut length = Dim::constant(0);
        for arg in args {
            if let Some(problem) = self.differing(&trailing(first), &trailing(arg)) {
                self.report_shapes("append", at, first, arg, &problem);
                return None;
            }
            let one = Dim::constant(1);
            length = length.add(arg.ty.dims().first().unwrap_or(&one));
        }
        let mut dims = vec![length];
        dims.extend(trailing(first));
        Some(Type::array(top, dims))
    }

    fn append_columns(&mut self, args: &[Expr], top: Scalar, span: Span, at: Span) -> Option<Type> {
        let Some(first) = args.first() else {
            self.report_count(Builtin::AppendCol, "matrices or vectors", 0, span);
            return None;
        };
        let mut columns = Dim::constant(0);
        for arg in args {
            self.rank(Builtin::AppendCol, arg, &[1, 2])?;
            self.same_length("append_col", at, (first, 0), (arg, 0))?;
            let one = Dim::constant(1);
            columns = columns.add(arg.ty.dims().get(1).unwrap_or(&one));
        }
        Some(Type::array(top, vec![first.ty.dims()[0].clone(), columns]))
    }
}

/// The number of elements of a shape.
fn length(dims: &[Dim]) -> Dim {
    dims.iter().fold(Dim::constant(1), |n, dim| n.mul(dim))
}
