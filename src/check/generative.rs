//! The generative reading of a model: its `~` statements as draws.
//!
//! In:  a checked model; whether its parameters are given or drawn from their priors; which data it
//!      goes without.
//! Out: a model without `~` in which each parameter (if drawn), each discrete latent and a copy of
//!      each observed variable is a `let` whose elements are draws, in order of dependence; and what
//!      stands in the way of the rest.
//!
//! A statement about elements, in loops or under conditions, becomes an element-by-element definition
//! of its variable: the loops around it are kept, other statements in them left out. What reads an
//! observed variable after it (another statement, a parameter-dependent `let`) reads the copy; what
//! data alone determines reads the data. Elements that no statement draws are as in the data.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::source::Span;

use super::typed::{
    Decl, Dist, DistKind, Expr, ExprKind, LetValue, Model, Order, Scalar, Stage, Stmt, StmtKind,
    Structure, Support, Type, Var, VarId, VarKind,
};
use super::{lagged, subst::Subst, visit};

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
        nodes: Vec::new(),
        obstacles: Vec::new(),
    };
    reader.find_targets();
    reader.copy_observed();
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
            let Decl::Let { var, .. } = decl else { return true };
            let predicted = self.model.vars[var.0 as usize].kind == VarKind::Predicted;
            let lost = predicted || reads(decl).iter().any(|read| gone.contains(read));
            if lost {
                gone.insert(*var);
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

/// A declaration of the new model.
struct Node {
    decl: Decl,
    defines: Option<VarId>,
    /// The declaration with data where `decl` has drawn copies, for a cycle through it.
    original: Option<Decl>,
    span: Span,
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
                Decl::Let { var, .. } if reads(decl).iter().any(|v| found.contains(v)) => {
                    found.insert(*var);
                }
                _ => {}
            }
        }
        found
    }

    /// Makes a copy of each observed variable.
    fn copy_observed(&mut self) {
        let observed: Vec<VarId> =
            self.targets.keys().copied().filter(|&v| self.is_observed(v)).collect();
        let mut copies = Vec::with_capacity(observed.len());
        for var in observed {
            let copy = VarId(u32::try_from(self.model.vars.len()).unwrap_or(u32::MAX));
            let entry = Var {
                kind: VarKind::Predicted,
                stage: Stage::Generated,
                ..self.source.var(var).clone()
            };
            let (ty, span) = (entry.ty.clone(), entry.span);
            let e = Expr { kind: ExprKind::Var(copy), ty, stage: Stage::Generated, span };
            self.model.vars.push(entry);
            self.copies.bind_expr(var, &e, None);
            copies.push((var, copy, span));
        }
        for (var, copy, span) in copies {
            if let Some(value) = self.drawn(var, copy, None) {
                let decl = Decl::Let { var: copy, value };
                self.nodes.push(Node { decl, defines: Some(copy), original: None, span });
            }
        }
    }

    fn node_of(&mut self, decl: &Decl) {
        let node =
            |decl: Decl, var: VarId, span| Node { decl, defines: Some(var), original: None, span };
        match decl {
            Decl::Data { var, .. } if self.absent.contains(var) => {}
            Decl::Data { var, .. } => {
                let span = self.source.var(*var).span;
                self.nodes.push(node(decl.clone(), *var, span));
            }
            Decl::Param { var, support, prior, span } => match self.parameters {
                Parameters::Given => {
                    let (var, support, span) = (*var, support.clone(), *span);
                    let decl = Decl::Param { var, support, prior: None, span };
                    self.nodes.push(node(decl, var, span));
                }
                Parameters::Drawn => {
                    if let Some(value) = self.drawn(*var, *var, Some((support, prior, *span))) {
                        self.nodes.push(node(Decl::Let { var: *var, value }, *var, *span));
                    }
                }
            },
            Decl::Marginal { var, support, prior, span } => {
                if let Some(value) = self.drawn(*var, *var, Some((support, prior, *span))) {
                    self.nodes.push(node(Decl::Let { var: *var, value }, *var, *span));
                }
            }
            Decl::Let { var, value } => {
                let entry = self.source.var(*var);
                let reads_data = entry.stage == Stage::Data
                    || (entry.kind == VarKind::Gen && self.parameters == Parameters::Given);
                let original = (!reads_data && entry.kind == VarKind::Let).then(|| decl.clone());
                let value = if reads_data { value.clone() } else { self.copies.let_value(value) };
                let decl = Decl::Let { var: *var, value };
                self.nodes.push(Node { decl, defines: Some(*var), original, span: entry.span });
            }
            Decl::Constraint { .. } | Decl::Stmt(_) => {}
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
            self.obstacle(span, true, format!("`{name}` has a flat prior"));
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
        // Priors read data, the distributions of data read what is drawn.
        let copies = if param.is_some() { Subst::default() } else { self.copies.clone() };
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

    /// Sizes that only absent data would give are read from the file by their names.
    fn stated_sizes(&mut self) {
        let mut given = HashSet::new();
        let mut wanted = BTreeMap::new();
        for decl in &self.source.decls {
            let Decl::Data { var, support, .. } = decl else { continue };
            visit::support_exprs(support, &mut |e| {
                if let ExprKind::Var(size) = e.kind
                    && self.source.var(size).kind == VarKind::Size
                {
                    if self.absent.contains(var) {
                        wanted.insert(size, e.span);
                    } else {
                        given.insert(size);
                    }
                }
            });
        }
        for (var, span) in wanted.into_iter().filter(|(var, _)| !given.contains(var)) {
            let zero = Expr { kind: ExprKind::Int(0), ty: Type::INT, stage: Stage::Data, span };
            let structure = Structure::Scalar {
                scalar: Scalar::Int,
                lower: Some(zero),
                upper: None,
                offset: None,
                multiplier: None,
            };
            let support = Support { array: Vec::new(), structure, missing: false };
            let decl = Decl::Data { var, support, missing: None, default: None };
            self.nodes.insert(0, Node { decl, defines: Some(var), original: None, span });
        }
    }

    /// Leaves out what reads something that is not there.
    fn leave_out_unavailable(&mut self) {
        let defined: HashSet<VarId> = self.nodes.iter().filter_map(|n| n.defines).collect();
        let declared = self.source.decls.iter().filter_map(|decl| match decl {
            Decl::Data { var, .. }
            | Decl::Param { var, .. }
            | Decl::Let { var, .. }
            | Decl::Marginal { var, .. } => Some(*var),
            Decl::Constraint { .. } | Decl::Stmt(_) => None,
        });
        let copies = (0..).map(VarId).zip(&self.model.vars);
        let copies = copies.filter(|(_, v)| v.kind == VarKind::Predicted).map(|(id, _)| id);
        let mut gone: HashSet<VarId> =
            declared.chain(copies).filter(|var| !defined.contains(var)).collect();
        loop {
            let mut lost = Vec::new();
            self.nodes.retain(|node| {
                let mut read: Vec<VarId> = reads(&node.decl).into_iter().collect();
                read.sort_unstable();
                let missing = |var: &VarId| gone.contains(var) && Some(*var) != node.defines;
                match read.into_iter().find(missing) {
                    Some(culprit) => {
                        lost.extend(node.defines.map(|var| (var, culprit, node.span)));
                        false
                    }
                    None => true,
                }
            });
            if lost.is_empty() {
                return;
            }
            for (var, culprit, span) in lost {
                gone.insert(var);
                let why = if self.absent.contains(&culprit) {
                    "is not in the data"
                } else {
                    "cannot be drawn"
                };
                let (var, of) = (self.model.var(var), self.model.var(culprit));
                let parameter = var.kind == VarKind::Param;
                let reason = format!("`{}` depends on `{}`, which {why}", var.name, of.name);
                self.obstacle(span, parameter, reason);
            }
        }
    }

    /// Brings the declarations into an order of dependence.
    fn in_order(&mut self) {
        let mut waiting: Vec<Option<Node>> =
            std::mem::take(&mut self.nodes).into_iter().map(Some).collect();
        let definer: HashMap<VarId, usize> = waiting
            .iter()
            .enumerate()
            .filter_map(|(i, n)| n.as_ref()?.defines.map(|var| (var, i)))
            .collect();
        let needs = |node: &Node| -> BTreeSet<usize> {
            let read = reads(&node.decl);
            let others = read.iter().filter(|var| Some(**var) != node.defines);
            others.filter_map(|var| definer.get(var).copied()).collect()
        };
        let mut missing: Vec<BTreeSet<usize>> = waiting.iter().flatten().map(needs).collect();
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); waiting.len()];
        for (i, needed) in missing.iter().enumerate() {
            needed.iter().for_each(|&n| readers[n].push(i));
        }
        let mut ready: BTreeSet<usize> =
            (0..waiting.len()).filter(|&i| missing[i].is_empty()).collect();
        loop {
            while let Some(next) = ready.pop_first() {
                let Some(node) = waiting[next].take() else { continue };
                self.model.decls.push(node.decl);
                for &reader in &readers[next] {
                    missing[reader].remove(&next);
                    if missing[reader].is_empty() {
                        ready.insert(reader);
                    }
                }
            }
            // A cycle: what is drawn depends on itself through a `let`. Given the parameters, that
            // `let` is computed from the data: each element is drawn given the data before it.
            let from_data = |node: &Node| {
                let original = node.original.as_ref()?;
                let there = reads(original).iter().all(|var| !self.absent.contains(var));
                (there && self.parameters == Parameters::Given).then(|| original.clone())
            };
            let through = waiting
                .iter()
                .enumerate()
                .find_map(|(i, node)| Some((i, from_data(node.as_ref()?)?)));
            let Some((at, original)) = through else { break };
            let Some(node) = &mut waiting[at] else { break };
            node.decl = original;
            node.original = None;
            let done = |i: &usize| waiting[*i].is_none();
            missing[at] = waiting[at].as_ref().map(needs).unwrap_or_default();
            missing[at] = missing[at].iter().copied().filter(|i| !done(i)).collect();
            if missing[at].is_empty() {
                ready.insert(at);
            }
        }
        for node in waiting.iter().flatten() {
            if let Some(var) = node.defines {
                let var = self.model.var(var);
                let parameter = var.kind == VarKind::Param;
                let reason = format!("`{}` depends on itself through other variables", var.name);
                self.obstacle(node.span, parameter, reason);
            }
        }
    }
}

/// The variable whose draws become assignments to its copy.
struct Target<'a> {
    var: VarId,
    copy: VarId,
    /// What its distributions read instead of data.
    copies: &'a Subst,
}

/// The variables that a declaration reads.
fn reads(decl: &Decl) -> HashSet<VarId> {
    let mut found = HashSet::new();
    let mut note = |e: &Expr| {
        visit::vars(e, &mut |var, _| {
            found.insert(var);
        });
    };
    match decl {
        Decl::Data { support, default, .. } => {
            visit::support_exprs(support, &mut note);
            default.iter().for_each(note);
        }
        Decl::Param { support, .. } => visit::support_exprs(support, &mut note),
        Decl::Let { value, .. } => visit::let_exprs(value, &mut note),
        Decl::Constraint { .. } | Decl::Marginal { .. } | Decl::Stmt(_) => {}
    }
    found
}
