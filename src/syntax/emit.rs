//! Syntax tree → an indented outline: what `ppl emit --stage ast` shows.
//!
//! One node a line, children indented by two blanks. Places are left out, so that two texts that
//! mean the same print the same; the formatter's test relies on it.

use super::ast::{
    Arg, Block, DistDecl, Doc, Expr, ExprKind, File, FnDecl, Index, Item, Let, LetValue, Stmt,
    StmtKind, TypeExpr, TypeKind, TypedParam,
};

/// Prints a tree.
#[must_use]
pub fn emit_ast(file: &File) -> String {
    let mut out = Outline { text: String::new(), depth: 0 };
    out.doc(file.doc.as_ref());
    for item in &file.items {
        out.item(item);
    }
    out.text
}

struct Outline {
    text: String,
    depth: usize,
}

impl Outline {
    fn line(&mut self, text: &str) {
        self.text.push_str(&"  ".repeat(self.depth));
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// Prints a line and, deeper, what `children` prints.
    fn node(&mut self, text: &str, children: impl FnOnce(&mut Self)) {
        self.line(text);
        self.depth += 1;
        children(self);
        self.depth -= 1;
    }

    fn doc(&mut self, doc: Option<&Doc>) {
        if let Some(doc) = doc {
            self.line(&format!("doc {:?}", doc.text));
        }
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Import(import) => self.line(&format!("import {:?}", import.path)),
            Item::Data(data) => {
                self.node(&format!("data {}: {}", data.name.text, type_text(&data.ty)), |out| {
                    out.doc(data.doc.as_ref());
                    if let Some(default) = &data.default {
                        out.node("default", |out| out.expr(default));
                    }
                });
            }
            Item::Param(param) => {
                let head = typed("param", &param.name.text, param.ty.as_ref());
                self.node(&head, |out| {
                    out.doc(param.doc.as_ref());
                    if let Some(dist) = &param.dist {
                        out.expr(dist);
                    }
                });
            }
            Item::Marginal(marginal) => {
                let head = typed("marginal", &marginal.name.text, marginal.ty.as_ref());
                self.node(&head, |out| {
                    out.doc(marginal.doc.as_ref());
                    if let Some(dist) = &marginal.dist {
                        out.expr(dist);
                    }
                });
            }
            Item::Let(binding) => self.binding("let", binding),
            Item::Gen(binding) => self.binding("gen", binding),
            Item::Fn(function) => self.function(function),
            Item::Dist(dist) => self.dist(dist),
            Item::Stmt(stmt) => self.stmt(stmt),
            Item::Error(_) => self.line("error"),
        }
    }

    fn binding(&mut self, keyword: &str, binding: &Let) {
        self.node(&typed(keyword, &binding.name.text, binding.ty.as_ref()), |out| {
            out.doc(binding.doc.as_ref());
            match &binding.value {
                LetValue::Expr(value) => out.expr(value),
                LetValue::Draw(dist) => out.node("draw", |out| out.expr(dist)),
                LetValue::Elements(body) => out.node("elements", |out| out.stmts(body)),
            }
        });
    }

    fn function(&mut self, function: &FnDecl) {
        let params = params_text(&function.params);
        let result = type_text(&function.result);
        self.node(&format!("fn {}({params}) -> {result}", function.name.text), |out| {
            out.doc(function.doc.as_ref());
            out.block(&function.body);
        });
    }

    fn dist(&mut self, dist: &DistDecl) {
        let params = params_text(&dist.params);
        let support = type_text(&dist.support);
        self.node(&format!("dist {}({params}) on {support}", dist.name.text), |out| {
            out.doc(dist.doc.as_ref());
            for member in &dist.members {
                let names: Vec<&str> =
                    member.params.iter().map(|param| param.text.as_str()).collect();
                let head = format!("member {}({})", member.name.text, names.join(", "));
                out.node(&head, |out| out.block(&member.body));
            }
        });
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.stmt(stmt);
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Let(binding) => self.binding("let", binding),
            StmtKind::Tilde { lhs, dist } => self.node("~", |out| {
                out.expr(lhs);
                out.expr(dist);
            }),
            StmtKind::Factor(value) => self.node("factor", |out| out.expr(value)),
            StmtKind::Assign { target, indices, value } => {
                self.node(&format!("assign {}", target.text), |out| {
                    out.indices(indices);
                    out.expr(value);
                });
            }
            StmtKind::For { var, range, body } => {
                self.node(&format!("for {}", var.text), |out| {
                    out.expr(range);
                    out.node("body", |out| out.stmts(body));
                });
            }
            StmtKind::If { cond, then, otherwise } => self.node("if", |out| {
                out.expr(cond);
                out.node("then", |out| out.stmts(then));
                if !otherwise.is_empty() {
                    out.node("else", |out| out.stmts(otherwise));
                }
            }),
        }
    }

    fn block(&mut self, block: &Block) {
        for binding in &block.lets {
            self.binding("let", binding);
        }
        self.expr(&block.result);
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.kind {
            ExprKind::Int(value) => self.line(&format!("int {value}")),
            ExprKind::Real(value) => self.line(&format!("real {value:?}")),
            ExprKind::Bool(value) => self.line(&format!("bool {value}")),
            ExprKind::Name(name) => self.line(&format!("name {name}")),
            ExprKind::Call { callee, args } => {
                self.node(&format!("call {}", callee.text), |out| out.args(args));
            }
            ExprKind::Index { base, indices } => self.node("index", |out| {
                out.expr(base);
                out.indices(indices);
            }),
            ExprKind::Unary { op, operand, .. } => {
                self.node(&format!("unary {}", op.symbol()), |out| out.expr(operand));
            }
            ExprKind::Transpose(operand) => self.node("transpose", |out| out.expr(operand)),
            ExprKind::Binary { op, lhs, rhs, .. } => {
                self.node(&format!("binary {}", op.symbol()), |out| {
                    out.expr(lhs);
                    out.expr(rhs);
                });
            }
            ExprKind::Range { lo, hi } => self.node("range", |out| {
                out.expr(lo);
                out.expr(hi);
            }),
            ExprKind::Array(elements) => self.node("array", |out| {
                for element in elements {
                    out.expr(element);
                }
            }),
            ExprKind::If { cond, then, otherwise } => self.node("if", |out| {
                out.expr(cond);
                out.node("then", |out| out.block(then));
                out.node("else", |out| out.block(otherwise));
            }),
        }
    }

    fn args(&mut self, args: &[Arg]) {
        for arg in args {
            match &arg.name {
                None => self.expr(&arg.value),
                Some(name) => {
                    self.node(&format!("{}=", name.text), |out| out.expr(&arg.value));
                }
            }
        }
    }

    fn indices(&mut self, indices: &[Index]) {
        for index in indices {
            match index {
                Index::At(at) => self.node("at", |out| out.expr(at)),
                Index::Slice { lo, hi, .. } => {
                    let ends = match (lo, hi) {
                        (None, None) => "slice :",
                        (Some(_), None) => "slice lo:",
                        (None, Some(_)) => "slice :hi",
                        (Some(_), Some(_)) => "slice lo:hi",
                    };
                    self.node(ends, |out| {
                        for end in [lo, hi].into_iter().flatten() {
                            out.expr(end);
                        }
                    });
                }
            }
        }
    }
}

fn typed(keyword: &str, name: &str, ty: Option<&TypeExpr>) -> String {
    match ty {
        None => format!("{keyword} {name}"),
        Some(ty) => format!("{keyword} {name}: {}", type_text(ty)),
    }
}

fn params_text(params: &[TypedParam]) -> String {
    let texts: Vec<String> = params
        .iter()
        .map(|param| format!("{}: {}", param.name.text, type_text(&param.ty)))
        .collect();
    texts.join(", ")
}

/// Prints a type on one line.
#[must_use]
pub fn type_text(ty: &TypeExpr) -> String {
    match &ty.kind {
        TypeKind::Base { name, bounds, missing, dims } => {
            let mut text = name.text.clone();
            if !bounds.is_empty() {
                let bounds: Vec<String> = bounds
                    .iter()
                    .map(|bound| format!("{}={}", bound.name.text, expr_text(&bound.value)))
                    .collect();
                text += &format!("<{}>", bounds.join(", "));
            }
            if missing.is_some() {
                text.push('?');
            }
            text + &dims_text(dims)
        }
        TypeKind::Array { dims, elem } => format!("array{} {}", dims_text(dims), type_text(elem)),
        TypeKind::Function { params, result } => {
            let params: Vec<String> = params.iter().map(type_text).collect();
            format!("fn({}) -> {}", params.join(", "), type_text(result))
        }
    }
}

fn dims_text(dims: &[Expr]) -> String {
    if dims.is_empty() {
        return String::new();
    }
    format!("[{}]", dims.iter().map(expr_text).collect::<Vec<_>>().join(", "))
}

/// Prints an expression on one line, every operation in parentheses, so that the grouping shows.
#[must_use]
pub fn expr_text(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Real(value) => format!("{value:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Name(name) => name.clone(),
        ExprKind::Call { callee, args } => {
            let args: Vec<String> = args
                .iter()
                .map(|arg| match &arg.name {
                    None => expr_text(&arg.value),
                    Some(name) => format!("{}={}", name.text, expr_text(&arg.value)),
                })
                .collect();
            format!("{}({})", callee.text, args.join(", "))
        }
        ExprKind::Index { base, indices } => {
            let indices: Vec<String> = indices.iter().map(index_text).collect();
            format!("{}[{}]", expr_text(base), indices.join(", "))
        }
        ExprKind::Unary { op, operand, .. } => format!("({}{})", op.symbol(), expr_text(operand)),
        ExprKind::Transpose(operand) => format!("{}'", expr_text(operand)),
        ExprKind::Binary { op, lhs, rhs, .. } => {
            format!("({} {} {})", expr_text(lhs), op.symbol(), expr_text(rhs))
        }
        ExprKind::Range { lo, hi } => format!("{}:{}", expr_text(lo), expr_text(hi)),
        ExprKind::Array(elements) => {
            format!("[{}]", elements.iter().map(expr_text).collect::<Vec<_>>().join(", "))
        }
        ExprKind::If { cond, then, otherwise } => format!(
            "if {} {{ {} }} else {{ {} }}",
            expr_text(cond),
            block_text(then),
            block_text(otherwise)
        ),
    }
}

fn index_text(index: &Index) -> String {
    let end = |end: &Option<Expr>| end.as_ref().map_or_else(String::new, expr_text);
    match index {
        Index::At(at) => expr_text(at),
        Index::Slice { lo, hi, .. } => format!("{}:{}", end(lo), end(hi)),
    }
}

fn block_text(block: &Block) -> String {
    let lets = block.lets.iter().map(|binding| format!("let {} = …; ", binding.name.text));
    lets.collect::<String>() + &expr_text(&block.result)
}
