//! Texts of models drawn from the grammar, most of them well typed: the bytes choose declarations,
//! statements and expressions from what is in scope. No data file is needed.

use std::fmt::Write as _;

use arbitrary::{Result, Unstructured};

/// Elements of every vector.
const N: usize = 3;
/// Depth of expressions.
const DEPTH: usize = 3;

/// A model.
#[must_use]
pub fn text(u: &mut Unstructured<'_>) -> String {
    let mut writer = Writer { u, out: String::new(), names: Names::default(), next: 0 };
    // Bytes that run out end the model.
    let _ = writer.model();
    writer.out
}

/// What is in scope.
#[derive(Debug, Default, Clone)]
struct Names {
    reals: Vec<String>,
    positives: Vec<String>,
    units: Vec<String>,
    vectors: Vec<String>,
    matrices: Vec<String>,
    simplexes: Vec<String>,
    indices: Vec<String>,
    functions: Vec<String>,
}

struct Writer<'a, 'b> {
    u: &'a mut Unstructured<'b>,
    out: String,
    names: Names,
    next: usize,
}

impl Writer<'_, '_> {
    fn model(&mut self) -> Result<()> {
        let n = self.u.int_in_range(1..=10)?;
        for _ in 0..n {
            let line = self.item()?;
            let _ = writeln!(self.out, "{line}");
        }
        Ok(())
    }

    fn name(&mut self, letter: char) -> String {
        self.next += 1;
        format!("{letter}{}", self.next)
    }

    fn pick(&mut self, options: &[&str]) -> Result<String> {
        Ok((*self.u.choose(options)?).to_owned())
    }

    fn item(&mut self) -> Result<String> {
        Ok(match self.u.int_in_range(0..=21)? {
            0 => {
                let (name, law) = (self.name('a'), self.real_law(DEPTH)?);
                let line = format!("param {name} ~ {law}");
                self.names.reals.push(name);
                line
            }
            1 => {
                let (name, law) = (self.name('a'), self.real_law(DEPTH)?);
                let bounds = self.pick(&["", "<lower=-1, upper=2>", "<upper=3>", "<offset=1, multiplier=2>"])?;
                let line = format!("param {name}: real{bounds} ~ {law}");
                self.names.reals.push(name);
                line
            }
            2 | 3 => {
                let (name, law) = (self.name('s'), self.positive_law(DEPTH)?);
                let line = format!("param {name}: real<lower=0> ~ {law}");
                self.names.positives.push(name);
                line
            }
            4 => {
                let (name, p, q) = (self.name('t'), self.positive(1)?, self.positive(1)?);
                let line = format!("param {name} ~ beta({p}, {q})");
                self.names.units.push(name);
                line
            }
            5 | 6 => {
                let (name, law) = (self.name('v'), self.vector_law(2)?);
                let ty = self.pick(&["real", "ordered", "real<lower=0>", "sum_to_zero", "positive_ordered"])?;
                let line = format!("param {name}: {ty}[{N}] ~ {law}");
                self.names.vectors.push(name);
                line
            }
            7 => {
                let (name, p) = (self.name('w'), self.positive(1)?);
                let line = format!("param {name}: simplex[{N}] ~ dirichlet(fill({N}, {p}))");
                self.names.simplexes.push(name);
                line
            }
            8 => {
                let (name, p) = (self.name('L'), self.positive(1)?);
                let law = self.pick(&["cholesky_corr", "corr_matrix"])?;
                let by = if law == "corr_matrix" { "lkj_corr" } else { "lkj_corr_cholesky" };
                let line = format!("param {name}: {law}[{N}] ~ {by}({p})");
                self.names.matrices.push(name);
                line
            }
            9 => {
                let (name, value) = (self.name('b'), self.real(DEPTH)?);
                let line = format!("let {name} = {value}");
                self.names.reals.push(name);
                line
            }
            10 => {
                let (name, value) = (self.name('u'), self.vector(DEPTH)?);
                let line = format!("let {name} = {value}");
                self.names.vectors.push(name);
                line
            }
            11 => {
                let (name, value) = (self.name('M'), self.matrix(2)?);
                let line = format!("let {name} = {value}");
                self.names.matrices.push(name);
                line
            }
            12 => {
                // A recursion.
                let (name, first) = (self.name('r'), self.real(2)?);
                self.names.reals.push(format!("{name}[t - 1]"));
                self.names.indices.push("t".into());
                let step = self.real(DEPTH);
                self.names.reals.pop();
                self.names.indices.pop();
                let step = step?;
                self.names.vectors.push(name.clone());
                format!(
                    "let {name}: real[{N}] {{\n  {name}[1] = {first}\n  for t in 2:{N} {{ {name}[t] = {step} }}\n}}"
                )
            }
            13 => {
                let name = self.name('f');
                let outside = std::mem::take(&mut self.names);
                self.names.reals = vec!["x".into(), "y".into()];
                let value = self.real(DEPTH);
                self.names = outside;
                let line = format!("fn {name}(x: real, y: real) -> real = {}", value?);
                self.names.functions.push(name);
                line
            }
            14 => {
                let (name, value) = (self.name('d'), self.constants()?);
                let line = format!("data {name}: real[{N}] = {value}");
                self.names.vectors.push(name);
                line
            }
            15 => format!("factor {}", self.real(DEPTH)?),
            16 => format!("{} ~ {}", self.constant()?, self.real_law(DEPTH)?),
            17 => {
                self.names.indices.push("i".into());
                let body = self.real_law(DEPTH);
                self.names.indices.pop();
                let (body, of) = (body?, self.constants()?);
                let name = self.name('d');
                format!("data {name}: real[{N}] = {of}\nfor i in 1:{N} {{ {name}[i] ~ {body} }}")
            }
            18 => {
                let (name, of, law) = (self.name('d'), self.constants()?, self.vector_law(DEPTH)?);
                format!("data {name}: real[{N}] = {of}\n{name} ~ {law}")
            }
            19 => {
                let (name, law) = (self.name('k'), self.count_law()?);
                format!("data {name}: int = {}\n{name} ~ {law}", self.u.int_in_range(0..=3)?)
            }
            20 => {
                let (name, w) = (self.name('z'), self.simplex()?);
                let (v, x, s) = (self.vector(1)?, self.constant()?, self.positive(1)?);
                format!(
                    "marginal {name}: int<lower=1, upper={N}> ~ categorical({w})\n{x} ~ normal({v}[{name}], {s})"
                )
            }
            _ => format!("gen {} = {}", self.name('g'), self.real(DEPTH)?),
        })
    }

    fn constant(&mut self) -> Result<String> {
        self.pick(&["0.5", "-1.25", "2", "0", "1e-3", "7.5", "-3", "1e3"])
    }

    fn constants(&mut self) -> Result<String> {
        Ok(format!("[{}, {}, {}]", self.constant()?, self.constant()?, self.constant()?))
    }

    fn one_of(&mut self, names: fn(&Names) -> &Vec<String>) -> Result<Option<String>> {
        let known = names(&self.names);
        if known.is_empty() {
            return Ok(None);
        }
        Ok(Some(known[self.u.choose_index(known.len())?].clone()))
    }

    /// An index of a vector.
    fn index(&mut self) -> Result<String> {
        match self.one_of(|n| &n.indices)? {
            Some(name) if self.u.arbitrary()? => Ok(name),
            _ => Ok(self.u.int_in_range(1..=N)?.to_string()),
        }
    }

    fn real(&mut self, depth: usize) -> Result<String> {
        let deep = if depth == 0 { 3 } else { 16 };
        let less = depth.saturating_sub(1);
        Ok(match self.u.int_in_range(0..=deep)? {
            0 => self.constant()?,
            1 | 2 => match self.one_of(|n| &n.reals)? {
                Some(name) => name,
                None => self.constant()?,
            },
            3 => match self.one_of(|n| &n.vectors)? {
                Some(name) => format!("{name}[{}]", self.index()?),
                None => self.constant()?,
            },
            4 | 5 => {
                let op = self.pick(&["+", "-", "*"])?;
                format!("({} {op} {})", self.real(less)?, self.real(less)?)
            }
            6 => format!("{} / {}", self.real(0)?, self.positive(less)?),
            7 => {
                let f = self.pick(&["tanh", "sin", "cos", "inv_logit", "square", "abs", "exp", "log1p_exp", "atan", "normal_cdf_"])?;
                let f = f.strip_suffix("_").map_or(f.as_str(), |_| "std_normal_cdf");
                format!("{f}({})", self.real(less)?)
            }
            8 => {
                let f = self.pick(&["log", "sqrt", "lgamma", "digamma", "log1p"])?;
                format!("{f}({})", self.positive(less)?)
            }
            9 => {
                let f = self.pick(&["sum", "mean", "max", "min", "log_sum_exp", "sd"])?;
                format!("{f}({})", self.vector(less)?)
            }
            10 => format!("dot({}, {})", self.vector(less)?, self.vector(less)?),
            11 => {
                let (a, b) = (self.real(0)?, self.real(0)?);
                format!("(if {a} > {b} {{ {} }} else {{ {} }})", self.real(less)?, self.real(less)?)
            }
            12 => match self.one_of(|n| &n.functions)? {
                Some(f) => format!("{f}({}, {})", self.real(less)?, self.real(0)?),
                None => format!("-{}", self.positive(less)?),
            },
            13 => match self.one_of(|n| &n.matrices)? {
                Some(m) => format!("{m}[{}, {}]", self.index()?, self.index()?),
                None => self.constant()?,
            },
            14 => {
                let f = self.pick(&["max", "min", "atan2", "hypot"])?;
                format!("{f}({}, {})", self.real(less)?, self.real(less)?)
            }
            15 => format!("{} ^ 2", self.real(0)?),
            _ => format!("log_density(normal(0, {}), {})", self.positive(less)?, self.real(less)?),
        })
    }

    fn positive(&mut self, depth: usize) -> Result<String> {
        let less = depth.saturating_sub(1);
        Ok(match self.u.int_in_range(0..=if depth == 0 { 2 } else { 6 })? {
            0 => self.pick(&["1", "0.5", "2.5", "10", "1e-2"])?,
            1 | 2 => match self.one_of(|n| &n.positives)? {
                Some(name) => name,
                None => "1.5".into(),
            },
            3 => format!("exp({})", self.real(less)?),
            4 => format!("(0.1 + square({}))", self.real(less)?),
            5 => format!("({} + {})", self.positive(less)?, self.positive(less)?),
            _ => format!("{} * {}", self.positive(less)?, self.positive(0)?),
        })
    }

    fn vector(&mut self, depth: usize) -> Result<String> {
        let less = depth.saturating_sub(1);
        Ok(match self.u.int_in_range(0..=if depth == 0 { 2 } else { 10 })? {
            0 => self.constants()?,
            1 | 2 => match self.one_of(|n| &n.vectors)? {
                Some(name) => name,
                None => self.constants()?,
            },
            3 => {
                let op = self.pick(&["+", "-", "*"])?;
                format!("({} {op} {})", self.vector(less)?, self.vector(less)?)
            }
            4 => {
                let op = self.pick(&["+", "-", "*"])?;
                format!("({} {op} {})", self.real(less)?, self.vector(less)?)
            }
            5 => {
                let f = self.pick(&["tanh", "exp", "cumulative_sum", "reverse", "inv_logit", "sort_asc", "softmax"])?;
                format!("{f}({})", self.vector(less)?)
            }
            6 => format!("{} @ {}", self.matrix(less)?, self.vector(less)?),
            7 => format!("[{}, {}, {}]", self.real(less)?, self.real(less)?, self.real(less)?),
            8 => format!("{}[[3, 1, 2]]", self.one_of(|n| &n.vectors)?.unwrap_or("[1, 2, 3]".into())),
            9 => format!("fill({N}, {})", self.real(less)?),
            _ => self.simplex()?,
        })
    }

    fn simplex(&mut self) -> Result<String> {
        Ok(match self.one_of(|n| &n.simplexes)? {
            Some(name) => name,
            None => format!("softmax({})", self.vector(0)?),
        })
    }

    fn matrix(&mut self, depth: usize) -> Result<String> {
        let less = depth.saturating_sub(1);
        Ok(match self.u.int_in_range(0..=if depth == 0 { 1 } else { 5 })? {
            0 => format!("diag({})", self.vector(0)?),
            1 => match self.one_of(|n| &n.matrices)? {
                Some(name) => name,
                None => format!("diag({})", self.vector(0)?),
            },
            2 => format!("({} @ {})", self.matrix(less)?, self.matrix(less)?),
            3 => format!("{}'", self.matrix(0)?),
            4 => format!("({} + {})", self.matrix(less)?, self.matrix(less)?),
            _ => format!("{} * {}", self.real(less)?, self.matrix(less)?),
        })
    }

    fn real_law(&mut self, depth: usize) -> Result<String> {
        let less = depth.saturating_sub(1);
        let (m, s) = (self.real(less)?, self.positive(less)?);
        Ok(match self.u.int_in_range(0..=8)? {
            0..=2 => format!("normal({m}, {s})"),
            3 => format!("student_t({}, {m}, {s})", self.positive(0)?),
            4 => format!("cauchy({m}, {s})"),
            5 => format!("logistic({m}, {s})"),
            6 => format!(
                "mixture({}, normal({m}, {s}), student_t(4, {}, 1), laplace(0, {}))",
                self.simplex()?,
                self.real(less)?,
                self.positive(0)?
            ),
            7 => format!("gumbel({m}, {s})"),
            _ => format!("affine(student_t(5, 0, 1), {m}, {s})"),
        })
    }

    fn positive_law(&mut self, depth: usize) -> Result<String> {
        let less = depth.saturating_sub(1);
        let (a, b) = (self.positive(less)?, self.positive(less)?);
        Ok(match self.u.int_in_range(0..=6)? {
            0 => format!("gamma({a}, {b})"),
            1 => format!("exponential({a})"),
            2 => format!("lognormal({}, {a})", self.real(less)?),
            3 => format!("weibull({a}, {b})"),
            4 => format!("inv_gamma({a}, {b})"),
            5 => format!("truncate(normal({}, {a}), lower=0)", self.real(less)?),
            _ => format!("cauchy(0, {a})"),
        })
    }

    fn vector_law(&mut self, depth: usize) -> Result<String> {
        let less = depth.saturating_sub(1);
        Ok(match self.u.int_in_range(0..=3)? {
            0 => format!("normal({}, {})", self.vector(less)?, self.positive(less)?),
            1 => format!("normal({}, {})", self.real(less)?, self.positive(less)?),
            2 => format!(
                "multi_normal_cholesky({}, diag(fill({N}, {})))",
                self.vector(less)?,
                self.positive(less)?
            ),
            _ => format!("student_t(3, {}, {})", self.vector(less)?, self.positive(less)?),
        })
    }

    fn count_law(&mut self) -> Result<String> {
        Ok(match self.u.int_in_range(0..=4)? {
            0 => format!("poisson({})", self.positive(2)?),
            1 => format!("poisson_log({})", self.real(2)?),
            2 => format!("binomial_logit(5, {})", self.real(2)?),
            3 => format!("neg_binomial_2({}, {})", self.positive(2)?, self.positive(1)?),
            _ => format!("zero_inflated({}, poisson({}))", self.unit()?, self.positive(1)?),
        })
    }

    fn unit(&mut self) -> Result<String> {
        Ok(match self.one_of(|n| &n.units)? {
            Some(name) => name,
            None => format!("inv_logit({})", self.real(1)?),
        })
    }
}
