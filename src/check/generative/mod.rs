//! The generative reading of a model: its `~` statements as draws.
//!
//! In:  a checked model; whether its parameters are given or drawn from their priors; which data it
//!      goes without.
//! Out: a model in which each parameter (if drawn), each discrete latent and a copy of each observed
//!      variable is a `let` whose elements are draws, in order of dependence; and what stands in the way
//!      of the rest.
//!
//! Where parameters are given, predictions and generated quantities read different things: predictions
//! the copies, and copies of the discrete latents and of the `let`s that depend on either; a `gen` the
//! data, and discrete latents given that data. So these latents stay, with what is said about them.
//!
//! A statement about elements, in loops or under conditions, becomes an element-by-element definition
//! of its variable: the loops around it are kept, other statements in them left out. What reads an
//! observed variable after it (another statement, a parameter-dependent `let`) reads the copy; what
//! data alone determines reads the data. Elements that no statement draws are as in the data.

mod copies;
mod order;

use std::collections::{BTreeMap, HashSet};

use crate::source::Span;

use super::builtins::Builtin;
use super::typed::{
    Decl, Dist, DistKind, Expr, ExprKind, LetValue, Model, Order, Scalar, Stage, Stmt, StmtKind,
    Structure, Support, Type, VarId, VarKind,
};
use super::visit::{self, reads};
use super::{lagged, subst::Subst};
use order::Node;

/// Where the parameters of a generative model come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameters {
    /// They are given: draws from the posterior.
    Given,
    /// They are drawn from their priors.
    Drawn,
}

/// A model whose statements are draws.
#[derive(Clone, Debug)]
pub struct Generative {
    /// It; copies of observed variables are of kind [`VarKind::Predicted`] under the same name.
    pub model: Model,
    /// What cannot be drawn, in source order.
    pub obstacles: Vec<Obstacle>,
}

/// Why a variable cannot be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// The reason, naming the variable.
    pub reason: String,
    /// The statement or declaration that prevents it.
    pub span: Span,
    /// Whether parameters are concerned, so that there is no prior to draw from.
    pub parameter: bool,
}

/// Reads a model as a recipe for drawing. `absent` are observed variables that the data file lacks.
#[must_use]
pub fn generative(model: &Model, parameters: Parameters, absent: &HashSet<VarId>) -> Generative {
    let mut reader = Reader {
        source: model,
        model: Model { decls: Vec::new(), ..model.clone() },
        parameters,
        absent,
        targets: BTreeMap::new(),
        copies: Subst::default(),
        latent: HashSet::new(),
        nodes: Vec::new(),
        obstacles: Vec::new(),
    };
    reader.find_targets();
    reader.make_copies();
    for decl in &model.decls {
        reader.node_of(decl);
    }
    reader.stated_sizes();
    reader.leave_out_unavailable();
    reader.in_order();
    reader.obstacles.sort_by_key(|o| o.span);
    Generative { model: reader.model, obstacles: reader.obstacles }
}

impl Generative {
    /// The parameters and what depends on them alone.
    #[must_use]
    pub fn without_predictions(mut self) -> Self {
        let mut gone = HashSet::new();
        self.model.decls.retain(|decl| {
            if !matches!(decl, Decl::Let { .. } | Decl::Recursion(_)) {
                return true;
            }
            let defines = decl.defines();
            let predicted =
                |var: &VarId| self.model.vars[var.0 as usize].kind == VarKind::Predicted;
            let lost =
                defines.iter().any(predicted) || reads(decl).iter().any(|read| gone.contains(read));
            if lost {
                gone.extend(defines);
            }
            !lost
        });
        self
    }
}

/// The data variables that some statement draws whole or in part, and so may be absent.
#[must_use]
pub fn observed(model: &Model) -> HashSet<VarId> {
    let mut found = HashSet::new();
    for decl in &model.decls {
        if let Decl::Stmt(stmt) = decl {
            tildes(stmt, &mut |lhs, _, _| {
                let data = |var: &VarId| model.var(*var).kind == VarKind::Data;
                found.extend(base(lhs).filter(data));
            });
        }
    }
    found
}

/// The variable that an expression is, or is an element of.
fn base(e: &Expr) -> Option<VarId> {
    match &e.kind {
        ExprKind::Var(var) => Some(*var),
        ExprKind::Index(of, _) => base(of),
        _ => None,
    }
}

/// Calls `f` on every `~` in a statement; `factor` comes without distribution.
fn tildes<'s>(stmt: &'s Stmt, f: &mut dyn FnMut(&'s Expr, Option<&'s Dist>, Span)) {
    match &stmt.kind {
        StmtKind::Tilde { lhs, dist } => f(lhs, Some(dist), stmt.span),
        StmtKind::Factor(e) => f(e, None, stmt.span),
        StmtKind::For { body, .. } => body.iter().for_each(|s| tildes(s, f)),
        StmtKind::If { then, otherwise, .. } => {
            then.iter().chain(otherwise).for_each(|s| tildes(s, f));
        }
        StmtKind::Let { .. } | StmtKind::Assign { .. } => {}
    }
}

struct Reader<'m> {
    source: &'m Model,
    model: Model,
    parameters: Parameters,
    absent: &'m HashSet<VarId>,
    /// Variables that statements draw, each with the top-level statements that do.
    targets: BTreeMap<VarId, Vec<&'m Stmt>>,
    /// Observed variables → their copies.
    copies: Subst,
    /// Discrete latents that are summed out, and the `let`s of them.
    latent: HashSet<VarId>,
    nodes: Vec<Node>,
    obstacles: Vec<Obstacle>,
}

impl<'m> Reader<'m> {
    fn obstacle(&mut self, span: Span, parameter: bool, reason: String) {
        let obstacle = Obstacle { reason, span, parameter };
        if !self.obstacles.contains(&obstacle) {
            self.obstacles.push(obstacle);
        }
    }

    fn name(&self, var: VarId) -> &str {
        &self.source.var(var).name
    }

    fn is_observed(&self, var: VarId) -> bool {
        let var = self.source.var(var);
        match var.kind {
            VarKind::Data => true,
            VarKind::Let => var.stage == Stage::Data,
            _ => false,
        }
    }

    fn find_targets(&mut self) {
        let of_data = self.variables_of_data();
        for decl in &self.source.decls {
            let Decl::Stmt(stmt) = decl else { continue };
            let mut found = Vec::new();
            tildes(stmt, &mut |lhs, dist, span| found.push((lhs, dist, span)));
            for (lhs, dist, span) in found {
                let target = dist.and(base(lhs));
                let target = target.filter(|&var| {
                    let latent = [VarKind::Param, VarKind::Marginal];
                    self.is_observed(var) || latent.contains(&self.source.var(var).kind)
                });
                match target {
                    Some(var) => {
                        let stmts = self.targets.entry(var).or_default();
                        if !stmts.iter().any(|s| std::ptr::eq(*s, stmt)) {
                            stmts.push(stmt);
                        }
                    }
                    None => self.not_a_draw(lhs, dist, span, &of_data),
                }
            }
        }
    }

    /// A term of the log joint that says how likely something is, but not how it comes about.
    fn not_a_draw(
        &mut self,
        lhs: &Expr,
        dist: Option<&Dist>,
        span: Span,
        of_data: &HashSet<VarId>,
    ) {
        let mut reads_data = false;
        let mut note =
            |e: &Expr| visit::vars(e, &mut |var, _| reads_data |= of_data.contains(&var));
        note(lhs);
        if let Some(dist) = dist {
            visit::dist_exprs(dist, &mut note);
        }
        let what = match dist {
            None => "a `factor` is no distribution to draw from",
            Some(_) if lhs.stage == Stage::Data => {
                "the left side is an expression; name it with `let` to have it drawn"
            }
            Some(_) => "the left side is an expression of parameters, which are drawn elsewhere",
        };
        // What data enters is a likelihood.
        self.obstacle(span, !reads_data, what.to_owned());
    }

    /// Variables that data enters, sizes aside.
    fn variables_of_data(&self) -> HashSet<VarId> {
        let mut found = HashSet::new();
        // Declarations stand after what they read.
        for decl in &self.source.decls {
            match decl {
                Decl::Data { var, .. } if self.source.var(*var).ty != Type::INT => {
                    found.insert(*var);
                }
                Decl::Let { .. } | Decl::Recursion(_)
                    if reads(decl).iter().any(|v| found.contains(v)) =>
                {
                    found.extend(decl.defines());
                }
                _ => {}
            }
        }
        found
    }

    fn node_of(&mut self, decl: &Decl) {
        let node = |decl: Decl, span, named| Node { decl, original: None, span, named };
        let given = self.parameters == Parameters::Given;
        match decl {
            Decl::Data { var, .. } if self.absent.contains(var) => {}
            Decl::Data { var, .. } => {
                let span = self.source.var(*var).span;
                self.nodes.push(node(decl.clone(), span, true));
            }
            Decl::Missing { var, .. } if given && !self.absent.contains(var) => {
                let span = self.source.var(*var).span;
                self.nodes.push(node(decl.clone(), span, true));
            }
            Decl::Param { var, support, prior, span } if given => {
                // A prior says something about the latents that it reads.
                let prior = prior.clone().filter(|prior| {
                    let mut of_latent = false;
                    visit::dist_exprs(prior, &mut |e| {
                        visit::vars(e, &mut |var, _| of_latent |= self.latent.contains(&var));
                    });
                    of_latent
                });
                let (var, support, span) = (*var, support.clone(), *span);
                self.nodes.push(node(Decl::Param { var, support, prior, span }, span, true));
            }
            Decl::Marginal { var, .. } if given => {
                let of_absent = |stmt: &&Stmt| {
                    let mut found = false;
                    tildes(stmt, &mut |lhs, dist, _| {
                        found |= base(lhs) == Some(*var) && self.reads_absent(lhs, dist);
                    });
                    found
                };
                // Without its distribution it cannot be summed out.
                if !self.targets.get(var).is_some_and(|stmts| stmts.iter().any(of_absent)) {
                    let span = self.source.var(*var).span;
                    self.nodes.push(node(decl.clone(), span, false));
                }
            }
            Decl::Param { var, support, prior, span }
            | Decl::Marginal { var, support, prior, span } => {
                if let Some(value) = self.drawn(*var, *var, Some((support, prior, *span))) {
                    self.nodes.push(node(Decl::Let { var: *var, value }, *span, true));
                }
            }
            Decl::Let { .. } | Decl::Recursion(_) => {
                let [var, ..] = decl.defines()[..] else { return };
                let entry = self.source.var(var);
                let as_it_is = given || entry.stage == Stage::Data;
                let decl = if as_it_is { decl.clone() } else { copy_of(decl, &self.copies) };
                let named = !as_it_is || entry.kind == VarKind::Gen;
                self.nodes.push(node(decl, entry.span, named));
            }
            Decl::Stmt(stmt) if given => {
                if let Some(stmt) = self.about_latents(stmt) {
                    let span = stmt.span;
                    self.nodes.push(node(Decl::Stmt(stmt), span, false));
                }
            }
            Decl::Missing { .. } | Decl::Constraint { .. } | Decl::Stmt(_) => {}
        }
    }

    fn draw(&self, dist: &Dist, ty: &Type, order: Order, copies: &Subst) -> Expr {
        let dist = Box::new(copies.dist(dist));
        let span = dist.span;
        let kind = ExprKind::Draw { dist, order };
        Expr { kind, ty: ty.clone(), stage: Stage::Generated, span }
    }

    /// What draws a variable: its prior or the statements about it. `None` with an obstacle.
    fn drawn(
        &mut self,
        var: VarId,
        copy: VarId,
        param: Option<(&Support, &Option<Dist>, Span)>,
    ) -> Option<LetValue> {
        let name = self.name(var).to_owned();
        let stmts = self.targets.get(&var).cloned().unwrap_or_default();
        let span = param.map_or(self.source.var(var).span, |(_, _, span)| span);
        let ty = self.source.var(var).ty.clone();
        let prior = param.and_then(|(_, prior, _)| prior.as_ref());
        if prior.is_none() && stmts.is_empty() {
            if let Some(value) = param.and_then(|(support, ..)| uniform(support, &ty, span)) {
                return Some(LetValue::Expr(value));
            }
            let reason =
                format!("`{name}` has a flat prior; give it a proper one, as `~ normal(0, 10)`");
            self.obstacle(span, true, reason);
            return None;
        }
        if prior.is_some() && !stmts.is_empty() {
            let reason = format!("two statements are about `{name}`, so neither draws it");
            self.obstacle(stmts[0].span, true, reason);
            return None;
        }
        let mut dists: Vec<(&Dist, Span)> = prior.iter().map(|d| (*d, span)).collect();
        for stmt in &stmts {
            tildes(stmt, &mut |lhs, dist, at| {
                if base(lhs) == Some(var) {
                    dists.extend(dist.map(|d| (d, at)));
                }
            });
        }
        for (dist, at) in &dists {
            if let Some((without, _)) = dist.without_sampler(self.source) {
                let of = &self.source.dist(without).name;
                let reason = format!("`{name}` cannot be drawn: `{of}` has no `sample`");
                self.obstacle(*at, param.is_some(), reason);
                return None;
            }
        }
        let mut order = Order::Any;
        if let Some((support, ..)) = param {
            match self.order(support, dists[0].0) {
                Some(found) => order = found,
                None => {
                    let structure = support.structure.name();
                    let reason = format!(
                        "`{name}` cannot be drawn: its distribution is not one of `{structure}`"
                    );
                    self.obstacle(span, true, reason);
                    return None;
                }
            }
        }
        // Priors read data, the distributions of data read what is drawn; so do those of latents beside it.
        let copies =
            if param.is_some() && var == copy { Subst::default() } else { self.copies.clone() };
        if let Some(prior) = prior {
            return Some(LetValue::Expr(self.draw(prior, &ty, order, &copies)));
        }
        if let [stmt] = stmts[..]
            && let StmtKind::Tilde { lhs, dist } = &stmt.kind
            && matches!(lhs.kind, ExprKind::Var(_))
        {
            return Some(LetValue::Expr(self.draw(dist, &ty, order, &copies)));
        }
        if order == Order::Ascending {
            let reason = format!("`{name}` is ordered, but drawn element by element");
            self.obstacle(stmts[0].span, true, reason);
            return None;
        }
        let target = Target { var, copy, copies: &copies };
        let mut assignments = Vec::with_capacity(stmts.len());
        for stmt in &stmts {
            assignments.extend(self.assignments(stmt, &target));
        }
        let dims = ty.dims().iter().map(|dim| dim.to_expr(span)).collect();
        let kept = param.is_none() && !self.absent.contains(&var);
        let stage = self.source.var(var).stage;
        let rest = kept.then_some(Expr { kind: ExprKind::Var(var), ty, stage, span });
        Some(LetValue::Elements { dims, stmts: assignments, rest })
    }

    /// In which order a prior's elements have to stand for a declared support; `None` when drawing from
    /// the prior does not lead into it.
    fn order(&self, support: &Support, dist: &Dist) -> Option<Order> {
        let drawn = match &dist.kind {
            DistKind::Named { dist, .. } => Some(&self.source.dist(*dist).support.structure),
            _ => None,
        };
        let drawn = drawn.filter(|s| !matches!(s, Structure::Scalar { .. }));
        match (&support.structure, drawn) {
            (Structure::Scalar { .. }, None) => Some(Order::Any),
            _ if matches!(dist.kind, DistKind::Sorted { .. }) => Some(Order::Any),
            (Structure::Ordered(_) | Structure::PositiveOrdered(_), None) => Some(Order::Ascending),
            (declared, Some(drawn)) if declared.name() == drawn.name() => Some(Order::Any),
            _ => None,
        }
    }

    /// A statement with draws of the target as assignments to its copy; `None` if it has none.
    fn assignments(&mut self, stmt: &Stmt, target: &Target<'_>) -> Option<Stmt> {
        let kind = match &stmt.kind {
            StmtKind::Let { .. } => target.copies.stmt(stmt).kind,
            StmtKind::Tilde { lhs, dist } => {
                let indices = match &lhs.kind {
                    _ if base(lhs) != Some(target.var) => return None,
                    ExprKind::Index(of, indices) if matches!(of.kind, ExprKind::Var(_)) => {
                        indices.clone()
                    }
                    _ => Vec::new(),
                };
                let value = self.draw(dist, &lhs.ty, Order::Any, target.copies);
                let assign = StmtKind::Assign { var: target.copy, indices, value };
                lagged::unrolled(&mut self.model, assign, stmt.span)
            }
            StmtKind::For { var, lo, hi, body } => {
                let body = self.all_assignments(body, target)?;
                StmtKind::For { var: *var, lo: lo.clone(), hi: hi.clone(), body }
            }
            StmtKind::If { cond, then, otherwise } => {
                let then = self.all_assignments(then, target);
                let otherwise = self.all_assignments(otherwise, target);
                if then.is_none() && otherwise.is_none() {
                    return None;
                }
                StmtKind::If {
                    cond: target.copies.expr(cond),
                    then: then.unwrap_or_default(),
                    otherwise: otherwise.unwrap_or_default(),
                }
            }
            StmtKind::Factor(_) | StmtKind::Assign { .. } => return None,
        };
        Some(Stmt { kind, span: stmt.span })
    }

    /// The same for the statements of a body; `None` if none of them draws.
    fn all_assignments(&mut self, body: &[Stmt], target: &Target<'_>) -> Option<Vec<Stmt>> {
        let kept: Vec<Stmt> = body.iter().filter_map(|s| self.assignments(s, target)).collect();
        let draws = kept.iter().any(|s| !matches!(s.kind, StmtKind::Let { .. }));
        draws.then_some(kept)
    }
}

/// A draw from a flat prior between two bounds; `None` on any other support.
fn uniform(support: &Support, ty: &Type, span: Span) -> Option<Expr> {
    let Structure::Scalar { lower: Some(lower), upper: Some(upper), .. } = &support.structure
    else {
        return None;
    };
    let real = |op, args, ty: &Type| Expr {
        kind: ExprKind::Builtin(op, args),
        ty: ty.clone(),
        stage: Stage::Generated,
        span,
    };
    let sizes = ty.dims().iter().map(|dim| dim.to_expr(span)).collect();
    let u = real(Builtin::RngUniform, sizes, ty);
    let shape = if lower.ty.dims().is_empty() { &upper.ty } else { &lower.ty };
    let shape = Type::array(Scalar::Real, shape.dims().to_vec());
    let width = real(Builtin::Sub, vec![upper.clone(), lower.clone()], &shape);
    let above = real(Builtin::Mul, vec![width, u], ty);
    Some(real(Builtin::Add, vec![lower.clone(), above], ty))
}

/// A `let`, or several that read each other, with copies in place of what it reads and defines.
fn copy_of(decl: &Decl, copies: &Subst) -> Decl {
    match decl {
        Decl::Let { var, value } => {
            Decl::Let { var: copies.var(*var), value: copies.let_value(value) }
        }
        Decl::Recursion(lets) => {
            let one =
                |(var, value): &(VarId, LetValue)| (copies.var(*var), copies.let_value(value));
            Decl::Recursion(lets.iter().map(one).collect())
        }
        other => other.clone(),
    }
}

/// The variable whose draws become assignments to its copy.
struct Target<'a> {
    var: VarId,
    copy: VarId,
    /// What its distributions read instead of data.
    copies: &'a Subst,
}
