//! Text → IR, for tests: the inverse of `print::to_text`.
//!
//! Only the form is checked here; whether the function makes sense is `verify`'s business, so that tests
//! can write functions that do not. `;` starts a comment that ends with the line.

use std::sync::Arc;

use super::entity::ValueId;
use super::function::{Function, Input, Inst, Output};
use super::op::{Args, BinaryOp, Op, Scan, ScanRef, Tensor, TernaryOp, UnaryOp};
use super::solver::{Method, Ode, Problem, Root, Search, Tolerance};
use super::ty::{DType, Shape, Type};

/// Why text is not IR.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// 1-based line.
    pub line: usize,
    /// What was expected.
    pub message: String,
}

/// Reads one function.
///
/// # Errors
/// When the text is not of the form that `print` writes.
pub fn parse(text: &str) -> Result<Function, ParseError> {
    let mut p = Parser { text, pos: 0 };
    let f = p.function()?;
    p.skip_space();
    if p.pos < text.len() {
        return p.fail("the end of the text");
    }
    Ok(f)
}

/// The value of one attribute.
enum Attr {
    Word(String),
    List(Shape),
}

struct Parser<'a> {
    text: &'a str,
    pos: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn fail<T>(&self, expected: &str) -> Parsed<T> {
        let line = 1 + self.text[..self.pos].matches('\n').count();
        let found: String = self.rest().chars().take_while(|&c| c != '\n').take(30).collect();
        Err(ParseError { line, message: format!("expected {expected}, found `{found}`") })
    }

    fn rest(&self) -> &'a str {
        &self.text[self.pos..]
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.pos += rest.len() - trimmed.len();
            if !trimmed.starts_with(';') {
                return;
            }
            self.pos += trimmed.find('\n').unwrap_or(trimmed.len());
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.pos += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Parsed<()> {
        if self.eat(token) { Ok(()) } else { self.fail(&format!("`{token}`")) }
    }

    fn word(&mut self, plain: impl Fn(char) -> bool) -> &'a str {
        self.skip_space();
        let rest = self.rest();
        let end = rest.find(|c| !plain(c)).unwrap_or(rest.len());
        self.pos += end;
        &rest[..end]
    }

    /// An identifier, or a name in quotes, as in JSON.
    fn name(&mut self) -> Parsed<String> {
        self.skip_space();
        if self.rest().starts_with('"') {
            let mut quoted = serde_json::Deserializer::from_str(self.rest()).into_iter();
            let Some(Ok(name)) = quoted.next() else { return self.fail("a name in quotes") };
            self.pos += quoted.byte_offset();
            return Ok(name);
        }
        let word = self.word(|c| c.is_alphanumeric() || c == '_' || c == '.');
        if word.is_empty() { self.fail("a name") } else { Ok(word.to_owned()) }
    }

    fn integer<T: std::str::FromStr>(&mut self) -> Parsed<T> {
        let start = self.pos;
        match self.word(|c| c.is_ascii_digit()).parse() {
            Ok(n) => Ok(n),
            Err(_) => {
                self.pos = start;
                self.fail("an integer")
            }
        }
    }

    fn number(&mut self) -> Parsed<f64> {
        let start = self.pos;
        match self.word(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)).parse() {
            Ok(x) => Ok(x),
            Err(_) => {
                self.pos = start;
                self.fail("a number")
            }
        }
    }

    fn value(&mut self) -> Parsed<ValueId> {
        self.expect("%")?;
        Ok(ValueId::new(self.integer::<u32>()? as usize))
    }

    /// Things between an opening token, already eaten, and `close`, with commas between.
    fn list<T>(&mut self, close: &str, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            if !items.is_empty() {
                self.expect(",")?;
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn ty(&mut self) -> Parsed<Type> {
        let name = self.word(|c| c.is_ascii_alphabetic());
        let Some(dtype) = DType::from_name(name) else { return self.fail("a type") };
        let shape = if self.eat("[") { self.list("]", Self::integer)? } else { Vec::new() };
        Ok(Type::new(dtype, Shape::from_vec(shape)))
    }

    fn function(&mut self) -> Parsed<Function> {
        self.expect("function")?;
        let name = self.name()?;
        self.expect("(")?;
        let inputs = self.list(")", |p| {
            let name = p.name()?;
            p.expect(":")?;
            Ok(Input { name, ty: p.ty()? })
        })?;
        self.expect("{")?;
        let mut f = Function { name, inputs, ..Function::default() };
        while !self.eat("return") {
            if self.value()?.index() != f.insts.len() {
                return self.fail(&format!("the definition of %{}", f.insts.len()));
            }
            self.expect(":")?;
            let ty = self.ty()?;
            self.expect("=")?;
            let inst = self.inst(&f, ty)?;
            f.insts.push(inst);
        }
        f.outputs = self.list("}", |p| {
            let name = p.name()?;
            p.expect("=")?;
            Ok(Output { name, value: p.value()? })
        })?;
        Ok(f)
    }

    fn inst(&mut self, f: &Function, ty: Type) -> Parsed<Inst> {
        let name = self.name()?;
        let mut args = Args::new();
        let op = match name.as_str() {
            "input" if self.eat("{index=") => {
                let index = self.integer()?;
                self.expect("}")?;
                Op::Input(index)
            }
            "input" => {
                let name = self.name()?;
                match f.input(&name).and_then(|i| u32::try_from(i).ok()) {
                    Some(i) => Op::Input(i),
                    None => return self.fail("a declared input"),
                }
            }
            "const" => {
                let data = if self.eat("[") {
                    self.list("]", Self::number)?
                } else {
                    vec![self.number()?]
                };
                // Not through `Tensor::new`: a wrong number of elements is for `verify` to find.
                Op::Const(Tensor { ty: ty.clone(), data: data.into() })
            }
            _ => {
                let attrs = if self.eat("{") { self.list("}", Self::attr)? } else { Vec::new() };
                while self.rest().trim_start_matches([',', ' ']).starts_with('%') {
                    if !args.is_empty() {
                        self.expect(",")?;
                    }
                    args.push(self.value()?);
                }
                self.op(&name, &attrs)?
            }
        };
        Ok(Inst { op, args, ty, span: None })
    }

    fn attr(&mut self) -> Parsed<(String, Attr)> {
        let key = self.name()?;
        self.expect("=")?;
        let value = if self.eat("[") {
            Attr::List(Shape::from_vec(self.list("]", Self::integer)?))
        } else {
            Attr::Word(self.name()?)
        };
        Ok((key, value))
    }

    fn op(&mut self, name: &str, attrs: &[(String, Attr)]) -> Parsed<Op> {
        let find = |key: &str| attrs.iter().find(|(k, _)| k == key).map(|(_, v)| v);
        let list = |key: &str| match find(key) {
            Some(Attr::List(list)) => Ok(list.clone()),
            _ => self.fail(&format!("a list {key}=[…] for {name} before this")),
        };
        let int = |key: &str| match find(key) {
            Some(Attr::Word(word)) => word.parse::<usize>().ok(),
            _ => None,
        };
        let int = |key: &str| {
            int(key).map_or_else(|| self.fail(&format!("an integer {key} before this")), Ok)
        };
        let flag = |key: &str| match find(key) {
            Some(Attr::Word(word)) if word == "true" => Ok(true),
            Some(Attr::Word(word)) if word == "false" => Ok(false),
            _ => self.fail(&format!("{key}=true or false before this")),
        };
        let real = |key: &str| match find(key) {
            Some(Attr::Word(word)) => word.parse::<f64>().ok(),
            _ => None,
        };
        let real = |key: &str| {
            real(key).map_or_else(|| self.fail(&format!("a number {key} before this")), Ok)
        };
        let tolerance = || {
            let (relative, absolute) = (real("relative")?, real("absolute")?);
            Ok(Tolerance { relative, absolute, most_steps: int("most_steps")? })
        };
        Ok(match name {
            "polygamma" => match u8::try_from(int("order")?) {
                Ok(n) => Op::Unary(UnaryOp::Polygamma(n)),
                Err(_) => return self.fail("an order below 256 before this"),
            },
            "convert" => match find("to") {
                Some(Attr::Word(word)) => match DType::from_name(word) {
                    Some(dtype) => Op::Convert(dtype),
                    None => return self.fail("a type before this"),
                },
                _ => return self.fail("to=… before this"),
            },
            "broadcast" => Op::Broadcast { shape: list("shape")?, axes: list("axes")? },
            "reshape" => Op::Reshape(list("shape")?),
            "transpose" => Op::Transpose(list("perm")?),
            "slice" => Op::Slice { start: list("start")?, stop: list("stop")? },
            "pad" => Op::Pad { low: list("low")?, high: list("high")? },
            "concat" => Op::Concat { axis: int("axis")? },
            "gather" => Op::Gather { axis: int("axis")? },
            "scatter_add" => Op::ScatterAdd { axis: int("axis")?, size: int("size")? },
            "sum" => Op::Sum(list("axes")?),
            "reduce_max" => Op::ReduceMax(list("axes")?),
            "log_sum_exp" => Op::LogSumExp(list("axes")?),
            "cum_sum" => Op::CumSum { axis: int("axis")?, reverse: flag("reverse")? },
            "matmul" => Op::MatMul { ta: flag("ta")?, tb: flag("tb")? },
            "cholesky" => Op::Cholesky,
            "solve" => Op::Solve { trans: flag("trans")? },
            "det" => Op::Det,
            "log_abs_det" => Op::LogAbsDet,
            "eigen_sym" => Op::EigenSym,
            "matrix_exp" => Op::MatrixExp,
            "sort_indices" => Op::SortIndices,
            "ode" => {
                let tolerance = tolerance()?;
                let (init, rhs) = (self.function()?, self.function()?);
                let method = match find("method") {
                    Some(Attr::Word(word)) if word == "explicit" => Method::Explicit,
                    Some(Attr::Word(word)) if word == "quadrature" => Method::Quadrature,
                    _ => Method::Implicit { jacobian: self.function()? },
                };
                Op::Ode(Problem(Arc::new(Ode { init, rhs, method, tolerance })))
            }
            "root" => {
                let search = match find("search") {
                    Some(Attr::Word(word)) if word == "increasing" => Search::Increasing,
                    _ => Search::Newton(tolerance()?),
                };
                Op::Root(Problem(Arc::new(Root { system: self.function()?, search })))
            }
            "tri_solve" => Op::TriSolve { lower: flag("lower")?, trans: flag("trans")? },
            "proj" => match u32::try_from(int("index")?) {
                Ok(i) => Op::Proj(i),
                Err(_) => return self.fail("a smaller index before this"),
            },
            "scan" => {
                let (length, carries, xs) = (int("length")?, int("carries")?, int("xs")?);
                let reverse = flag("reverse")?;
                let body = self.function()?;
                Op::Scan(ScanRef(Arc::new(Scan { body, length, carries, xs, reverse })))
            }
            _ => match (UnaryOp::from_name(name), BinaryOp::from_name(name)) {
                (Some(op), _) => Op::Unary(op),
                (_, Some(op)) => Op::Binary(op),
                _ => match TernaryOp::from_name(name) {
                    Some(op) => Op::Ternary(op),
                    None => {
                        return self.fail(&format!("an operation instead of `{name}` before this"));
                    }
                },
            },
        })
    }
}
