//! Discrete latents: what each statement says about each `marginal`, as tables.
//!
//! A statement that reads a marginal is lowered twice. First the marginal is an input, and
//! [`dependence`](super::dependence) finds on which of its elements, the sites, each element of the
//! term depends. Then the sites are coloured, so that those that one element of the term depends on
//! have different colours, and the statement is lowered inside of one loop over the values for each
//! colour; a loop index is an axis, so this gives the term for all combinations at once. Picking the
//! axes that belong to its own sites makes a table of each element, its scope being those sites.
//! Summing the tables out is not here: `eliminate`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::check::typed::{LetValue, Scalar, Stmt, Structure, Support, VarId};
use crate::diagnostics::{Code, Diagnostic};
use crate::ir::{Op, Shape, Tensor, Type, ValueId};
use crate::source::Span;

use super::Lower;
use super::data::dtype;
use super::dependence::{Site, Sites};
use super::lowerer::{Lowerer, Term};
use super::value::{Axes, Axis, Val};
use super::walk;

/// Most numbers in a table.
pub(super) const LARGEST_TABLE: usize = 1 << 24;

/// A `marginal`, or the missing elements of integer data.
#[derive(Debug, Clone)]
pub(super) struct Latent {
    pub(super) var: VarId,
    pub(super) span: Span,
    /// The input that stands for it while dependence is found.
    pub(super) input: u32,
    /// The first of its sites, which are numbered row-major.
    pub(super) first: Site,
    pub(super) shape: Shape,
    /// Its lowest value.
    lowest: i64,
    /// Number of its values.
    pub(super) values: usize,
    /// An input of zeros `[sites, values]`, added to the log probabilities: the derivative of the log
    /// joint in it is the posterior probability of each value.
    pub(super) probe: u32,
    pub(super) probe_value: ValueId,
    /// `[sites, values]`: −∞ where a value lies outside of the bounds of its own site.
    pub(super) outside: Option<ValueId>,
}

impl Latent {
    /// Its value number `k`.
    #[allow(clippy::cast_precision_loss, reason = "integers are exact below 2^53")]
    pub(super) fn number(&self, k: usize) -> f64 {
        self.lowest as f64 + k as f64
    }

    /// The number of its sites.
    pub(super) fn sites(&self) -> u32 {
        u32::try_from(self.shape.iter().product::<usize>()).expect("fewer than 2^32 sites")
    }
}

/// The latents of a scope, by number, in order of its sites.
pub(super) type Kind = Vec<usize>;

/// What a term of the log joint is for each value of the sites that its elements depend on.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) kind: Kind,
    /// All different, in ascending order.
    pub(super) scopes: Vec<Sites>,
    /// `[scopes, values of the first site, …]`.
    pub(super) value: ValueId,
    pub(super) span: Span,
    /// The data that the term is the likelihood of.
    pub(super) observed: Option<String>,
    /// Whether the term is the distribution of a latent.
    pub(super) of_latent: bool,
}

/// What the model says about its discrete latents.
#[derive(Debug, Default)]
pub(super) struct Latents {
    pub(super) all: Vec<Latent>,
    pub(super) tables: Vec<Table>,
    /// Variables that latents decide: they and the `let`s of them.
    vars: BTreeSet<VarId>,
    /// The `let`s, in order of definition.
    lets: Vec<(VarId, LetValue)>,
    /// The generated quantities, in order of definition.
    pub(super) gens: Vec<(VarId, LetValue)>,
    /// Draws of the latents, for these.
    pub(super) drawn: Vec<(VarId, ValueId)>,
    /// Sites that have a distribution.
    given: BTreeSet<Site>,
    /// Numbers of the inputs that stand for latents; hidden, so that nothing is decided by them.
    pub(super) hidden: HashMap<u32, Tensor>,
}

impl Latents {
    /// The number of the latent that a site belongs to.
    pub(super) fn owner(&self, site: Site) -> usize {
        self.all.partition_point(|l| l.first <= site) - 1
    }

    pub(super) fn has(&self, var: VarId) -> bool {
        self.vars.contains(&var)
    }

    /// Whether a statement reads a latent.
    pub(super) fn in_stmt(&self, s: &Stmt) -> bool {
        !self.vars.is_empty() && walk::stmt_reads(s, &|var| self.has(var))
    }

    /// Whether the value of a `let` does.
    pub(super) fn in_let(&self, value: &LetValue) -> bool {
        !self.vars.is_empty() && walk::let_reads(value, &|var| self.has(var))
    }

    /// Whether a distribution does.
    pub(super) fn in_dist(&self, dist: &crate::check::typed::Dist) -> bool {
        !self.vars.is_empty() && walk::dist_reads(dist, &|var| self.has(var))
    }
}

impl Lowerer<'_> {
    /// What a site is called: `z[3]`.
    fn site_name(&self, site: Site) -> String {
        let latent = &self.latents.all[self.latents.owner(site)];
        let name = &self.model.var(latent.var).name;
        let which = (site - latent.first) as usize;
        let at = match self.missing.contains_key(&latent.var) {
            true => self.missing_place(latent.var, which),
            false => crate::data::unravel(&latent.shape, which),
        };
        let at: Vec<String> = at.iter().map(usize::to_string).collect();
        if at.is_empty() { name.clone() } else { format!("{name}[{}]", at.join(", ")) }
    }

    /// Declares a marginal, or the missing elements of integer data.
    pub(super) fn declare_latent(
        &mut self,
        var: VarId,
        support: &Support,
        span: Span,
    ) -> Lower<()> {
        let is_missing = self.missing.contains_key(&var);
        let shape =
            if is_missing { self.missing_shape(var) } else { self.size_list(&support.array)? };
        let entry = self.model.var(var);
        let name = self.param_name(var);
        let Structure::Scalar { scalar, lower, upper, .. } = &support.structure else {
            return Err(self.not_yet("a marginal of this type"));
        };
        let sites: usize = shape.iter().product();
        let ends = match (scalar, lower, upper) {
            (Scalar::Int, Some(lower), Some(upper)) => {
                let bounds = match is_missing {
                    true => self.missing_bounds(var, support)?,
                    false => [Some(self.expr(lower)?), Some(self.expr(upper)?)],
                };
                let mut ends = Vec::with_capacity(2);
                for v in bounds.into_iter().flatten() {
                    let id = self.axes.spread(&mut self.b, &v, &Axes::new(), &shape);
                    let Some(numbers) = self.numbers(id) else {
                        return Err(self.error(
                            Code::E0503,
                            "the values of a marginal have to be known from the data",
                            "this bound depends on parameters",
                        ));
                    };
                    ends.push(numbers.data);
                }
                ends
            }
            _ => vec![vec![0.0; sites].into(), vec![1.0; sites].into()],
        };
        let lowest = ends[0].iter().copied().fold(f64::INFINITY, f64::min);
        let highest = ends[1].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if let Some(site) = (0..sites).find(|&i| ends[0][i] > ends[1][i]) {
            return Err(self.error(
                Code::E0504,
                format!(
                    "`{}` has no value: its bounds are {} and {}",
                    name, ends[0][site], ends[1][site]
                ),
                "with these bounds",
            ));
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounds")]
        let (lowest, values) = match sites {
            0 => (0, 1),
            _ => (lowest as i64, (highest - lowest) as usize + 1),
        };
        if sites.saturating_mul(values) > LARGEST_TABLE {
            let message = format!(
                "`{name}` has {sites} elements of {values} values each, which is too many to sum over"
            );
            return Err(self.error(Code::E0511, message, "declared here"));
        }
        let ty = Type::new(dtype(&entry.ty), shape.clone());
        let input = self.hidden_input(&super::input_name(&name), ty);
        let table = [sites, values];
        let probe = self.hidden_input(&probe_name(&name), Type::real(&table[..]));
        #[allow(clippy::cast_precision_loss, reason = "integers are exact below 2^53")]
        let within = |i: usize, k: usize| {
            let x = (lowest + i64::try_from(k).expect("few values")) as f64;
            ends[0][i] <= x && x <= ends[1][i]
        };
        let mask: Vec<f64> = (0..sites * values)
            .map(|i| if within(i / values, i % values) { 0.0 } else { f64::NEG_INFINITY })
            .collect();
        let outside = mask
            .iter()
            .any(|x| x.is_infinite())
            .then(|| self.b.tensor(Tensor::new(Type::real(&table[..]), mask)));
        let first = self.latents.all.last().map_or(0, |l| l.first + l.sites());
        self.latents.all.push(Latent {
            var,
            span,
            input: input.0,
            first,
            shape,
            lowest,
            values,
            probe: probe.0,
            probe_value: probe.1,
            outside,
        });
        self.latents.vars.insert(var);
        self.define_with_missing(var, &Val::plain(input.1));
        Ok(())
    }

    /// An input of zeros whose numbers nothing may be decided by.
    fn hidden_input(&mut self, name: &str, ty: Type) -> (u32, ValueId) {
        let value = self.b.input(name, ty.clone());
        let index = u32::try_from(self.b.function().inputs.len() - 1).expect("few inputs");
        let zeros = vec![0.0; ty.len()];
        self.latents.hidden.insert(index, Tensor::new(ty, zeros));
        (index, value)
    }

    /// Defines a `let` that latents decide.
    pub(super) fn latent_let(&mut self, var: VarId, value: &LetValue) -> Lower<()> {
        let v = self.let_value(var, value)?;
        self.define(var, v);
        self.latents.vars.insert(var);
        self.latents.lets.push((var, value.clone()));
        Ok(())
    }

    /// Puts off a generated quantity that reads latents until they are drawn.
    pub(super) fn latent_gen(&mut self, var: VarId, value: &LetValue) {
        self.latents.vars.insert(var);
        self.latents.gens.push((var, value.clone()));
    }

    /// The generated quantities that read latents, computed from draws of these.
    pub(super) fn latent_gens(&mut self) -> Lower<Vec<(VarId, Val)>> {
        let gens = std::mem::take(&mut self.latents.gens);
        if gens.is_empty() {
            return Ok(Vec::new());
        }
        for (var, value) in std::mem::take(&mut self.latents.drawn) {
            self.define_with_missing(var, &Val::plain(value));
        }
        let lets = std::mem::take(&mut self.latents.lets);
        let mut values = Vec::with_capacity(gens.len());
        for (i, (var, value)) in lets.iter().chain(&gens).enumerate() {
            let v = self.at(self.model.var(*var).span, |l| l.let_value(*var, value))?;
            self.define(*var, v.clone());
            if i >= lets.len() {
                values.push((*var, v));
            }
        }
        Ok(values)
    }

    /// Notes that the elements of `x`, sites of a latent, get a distribution.
    pub(super) fn note_given(&mut self, x: &Val) {
        if self.enumerated.is_empty() {
            let sites = self.dependence(x.id).into_iter().flatten().flatten();
            self.latents.given.extend(sites);
        }
    }

    /// The error that a site has no distribution, if one has none.
    pub(super) fn without_distribution(&self) -> Option<Box<Diagnostic>> {
        let latent =
            |l: &&Latent| (l.first..l.first + l.sites()).find(|s| !self.latents.given.contains(s));
        let (l, site) = self.latents.all.iter().find_map(|l| Some((l, latent(&l)?)))?;
        let name = self.site_name(site);
        let error = Diagnostic::error(
            Code::E0512,
            l.span,
            format!("{name} has no distribution"),
            "is summed out by this declaration",
        );
        Some(Box::new(error.with_help(format!("add a statement `{name} ~ …`"))))
    }

    /// Lowers a statement that reads latents: its terms become tables.
    pub(super) fn latent_stmt(&mut self, f: &mut dyn FnMut(&mut Self) -> Lower<()>) -> Lower<()> {
        let before = self.terms.len();
        f(self)?;
        let terms = self.terms.split_off(before);
        for (which, term) in terms.iter().enumerate() {
            match self.dependence(term.value) {
                None => self.terms.push(term.clone()),
                Some(scopes) => self.tabulate(which, term, &scopes, f)?,
            }
        }
        Ok(())
    }

    /// The tables of a term whose elements have the given scopes.
    fn tabulate(
        &mut self,
        which: usize,
        term: &Term,
        scopes: &[Sites],
        f: &mut dyn FnMut(&mut Self) -> Lower<()>,
    ) -> Lower<()> {
        let colours = self.colours(scopes, term.span)?;
        let slots = self.slots(scopes, &colours);
        let sizes: Shape = slots.iter().map(|&(l, _)| self.latents.all[l].values).collect();
        let combinations = checked_product(&sizes);
        if combinations.and_then(|c| c.checked_mul(scopes.len())).is_none_or(|n| n > LARGEST_TABLE)
        {
            return Err(self.explodes(term.span, combinations, slots.iter().map(|s| s.0)));
        }
        let value = self.enumerated(&slots, &colours, which, f)?;
        let mut shape = sizes.clone();
        shape.push(scopes.len());
        let value = self.b.reshape(value, &shape);

        let mut kinds: BTreeMap<Kind, Vec<usize>> = BTreeMap::new();
        for (element, scope) in scopes.iter().enumerate() {
            let kind = scope.iter().map(|&s| self.latents.owner(s)).collect();
            kinds.entry(kind).or_default().push(element);
        }
        for (kind, elements) in kinds {
            if kind.is_empty() {
                // The same for all values: those of the first combination do.
                let total: usize = self.b.shape(value).iter().product();
                let flat = self.b.reshape(value, &[total]);
                let index = self.b.ints(elements);
                let value = self.b.gather(flat, 0, index);
                // Steps that a condition leaves out add nothing.
                if self.numbers(value).is_none_or(|t| t.splat() != Some(0.0)) {
                    self.terms.push(Term { value, ..term.clone() });
                }
                continue;
            }
            let at = |site: &Site| {
                let slot = (self.latents.owner(*site), colour(&colours, *site));
                slots.binary_search(&slot).expect("every site has a slot")
            };
            let places: Vec<Vec<usize>> =
                elements.iter().map(|&e| scopes[e].iter().map(at).collect()).collect();
            let rows = self.own_axes(value, &sizes, &elements, &places);
            let (scopes, value) = self.unique(&elements, scopes, rows);
            self.latents.tables.push(Table {
                kind,
                scopes,
                value,
                span: term.span,
                observed: term.observed.clone(),
                of_latent: term.of_latent,
            });
        }
        Ok(())
    }

    /// A colour for each site, so that sites of one latent in one scope differ; 0 where it is absent.
    pub(super) fn colours(&self, scopes: &[Sites], span: Span) -> Lower<HashMap<Site, usize>> {
        let several: BTreeSet<&Sites> = scopes.iter().filter(|s| s.len() > 1).collect();
        let mut neighbours: BTreeMap<Site, BTreeSet<Site>> = BTreeMap::new();
        for scope in several {
            let owners = scope.iter().map(|&s| self.latents.owner(s));
            let sizes: Vec<usize> = owners.clone().map(|l| self.latents.all[l].values).collect();
            let combinations = checked_product(&sizes);
            if combinations.is_none_or(|n| n > LARGEST_TABLE) {
                return Err(self.explodes(span, combinations, owners));
            }
            for &a in scope {
                let same = |b: &&Site| **b != a && self.latents.owner(**b) == self.latents.owner(a);
                neighbours.entry(a).or_default().extend(scope.iter().filter(same));
            }
        }
        let mut colours: HashMap<Site, usize> = HashMap::new();
        for (site, around) in &neighbours {
            let used: BTreeSet<usize> =
                around.iter().filter_map(|s| colours.get(s).copied()).collect();
            let free = (0..).find(|c| !used.contains(c)).expect("finitely many are used");
            colours.insert(*site, free);
        }
        Ok(colours)
    }

    /// One slot for each latent and colour that occur, ascending.
    pub(super) fn slots(
        &self,
        scopes: &[Sites],
        colours: &HashMap<Site, usize>,
    ) -> Vec<(usize, usize)> {
        let mut slots: Vec<(usize, usize)> = Vec::new();
        for scope in scopes {
            slots.extend(scope.iter().map(|s| (self.latents.owner(*s), colour(colours, *s))));
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// The refusal of a sum over too many combinations.
    pub(super) fn explodes(
        &self,
        span: Span,
        size: Option<usize>,
        latents: impl Iterator<Item = usize>,
    ) -> Box<Diagnostic> {
        let size = size.map_or("more than 10^19".to_string(), |n| n.to_string());
        let mut error = Diagnostic::error(
            Code::E0511,
            span,
            format!("summing out the discrete latents takes a table of {size} combinations"),
            "joins too many of them",
        );
        let latents: BTreeSet<usize> = latents.collect();
        for l in latents {
            let latent = &self.latents.all[l];
            let name = &self.model.var(latent.var).name;
            let label = format!("`{name}` has {} values each", latent.values);
            error = error.with_label(latent.span, label);
        }
        Box::new(error.with_note(format!("at most {LARGEST_TABLE} numbers are tabulated")).with_help(
            "let each statement depend on few elements, or on all through a `let` of their parameters",
        ))
    }

    /// Term number `which` of a statement for all values of the latents; the slots' axes come first.
    fn enumerated(
        &mut self,
        slots: &[(usize, usize)],
        colours: &HashMap<Site, usize>,
        which: usize,
        f: &mut dyn FnMut(&mut Self) -> Lower<()>,
    ) -> Lower<ValueId> {
        let env = self.env.clone();
        let axes: Vec<Axis> =
            slots.iter().map(|&(l, _)| self.axes.add(self.latents.all[l].values)).collect();
        for l in 0..self.latents.all.len() {
            let own: Axes =
                (0..slots.len()).filter(|&i| slots[i].0 == l).map(|i| axes[i]).collect();
            if !own.is_empty() {
                let value = self.all_values(l, colours, &own);
                self.define_with_missing(self.latents.all[l].var, &value);
            }
        }
        self.enumerated = axes.into_iter().collect();
        let outer = std::mem::replace(&mut self.loops, self.enumerated.clone());
        let before = self.terms.len();
        let mut done = Ok(());
        for (var, value) in self.latents.lets.clone() {
            let span = self.model.var(var).span;
            done = done.and_then(|()| {
                let v = self.at(span, |l| l.let_value(var, &value))?;
                self.define(var, v);
                Ok(())
            });
        }
        let done = done.and_then(|()| f(self));
        let terms = self.terms.split_off(before);
        self.enumerated.clear();
        self.loops = outer;
        self.env = env;
        done?;
        Ok(terms[which].value)
    }

    /// The values of a latent along its axes: those of a site run along the axis of its colour.
    fn all_values(&mut self, l: usize, colours: &HashMap<Site, usize>, axes: &Axes) -> Val {
        let latent = self.latents.all[l].clone();
        let dtype = self.b.function().inputs[latent.input as usize].ty.dtype;
        let mut shape: Shape = axes.iter().map(|_| latent.values).collect();
        shape.extend_from_slice(&latent.shape);
        let id = if axes.len() == 1 {
            let data: Vec<f64> = (0..latent.values).map(|k| latent.number(k)).collect();
            let values = Tensor::new(Type::new(dtype, [latent.values].as_slice()), data);
            let values = self.b.tensor(values);
            self.b.broadcast(values, &shape, &[0])
        } else {
            let sites = latent.sites() as usize;
            let combinations = latent.values.pow(u32::try_from(axes.len()).expect("few axes"));
            let mut data = Vec::with_capacity(combinations * sites);
            for c in 0..combinations {
                for site in latent.first..latent.first + latent.sites() {
                    let behind = axes.len() - 1 - colour(colours, site);
                    let stride = latent.values.pow(u32::try_from(behind).expect("few axes"));
                    data.push(latent.number(c / stride % latent.values));
                }
            }
            self.b.tensor(Tensor::new(Type::new(dtype, shape), data))
        };
        Val { id, axes: axes.clone() }
    }

    /// From `value: [slots…, elements]` the rows `[elements, values of its sites…]`; `places` are the
    /// slots of the sites of each.
    fn own_axes(
        &mut self,
        value: ValueId,
        sizes: &[usize],
        elements: &[usize],
        places: &[Vec<usize>],
    ) -> ValueId {
        let all = self.b.shape(value)[sizes.len()];
        let first = &places[0];
        let plain = first.len() == sizes.len()
            && elements.len() == all
            && places.iter().all(|p| p == first);
        if plain {
            let perm: Vec<usize> =
                std::iter::once(sizes.len()).chain(first.iter().copied()).collect();
            return self.b.transpose(value, &perm);
        }
        let strides: Vec<usize> =
            (0..sizes.len()).map(|i| sizes[i + 1..].iter().product::<usize>() * all).collect();
        let dims: Vec<usize> = first.iter().map(|&slot| sizes[slot]).collect();
        let combinations: usize = dims.iter().product();
        let mut index = Vec::with_capacity(elements.len() * combinations);
        for (&element, places) in elements.iter().zip(places) {
            for c in 0..combinations {
                let mut rest = c;
                let mut at = element;
                for (&slot, &n) in places.iter().zip(&dims).rev() {
                    at += rest % n * strides[slot];
                    rest /= n;
                }
                index.push(at);
            }
        }
        let total: usize = self.b.shape(value).iter().product();
        let flat = self.b.reshape(value, &[total]);
        let mut shape: Shape = [elements.len()].as_slice().into();
        shape.extend_from_slice(&dims);
        let index = self.b.ints(index);
        let index = self.b.reshape(index, &shape);
        self.b.gather(flat, 0, index)
    }

    /// Adds up the rows of one scope.
    fn unique(
        &mut self,
        elements: &[usize],
        scopes: &[Sites],
        rows: ValueId,
    ) -> (Vec<Sites>, ValueId) {
        let of_rows: Vec<&Sites> = elements.iter().map(|&e| &scopes[e]).collect();
        let mut unique = of_rows.clone();
        unique.sort_unstable();
        unique.dedup();
        let places = of_rows
            .iter()
            .map(|s| unique.binary_search(s).expect("every scope is there"))
            .collect::<Vec<usize>>();
        let value = self.add_rows(rows, places, unique.len());
        (unique.into_iter().cloned().collect(), value)
    }

    /// Zeros `[size, …]` with row `i` of `rows` added at row `places[i]`.
    pub(super) fn add_rows(&mut self, rows: ValueId, places: Vec<usize>, size: usize) -> ValueId {
        if places.iter().copied().eq(0..size) {
            return rows;
        }
        let index = self.b.ints(places);
        self.b.add(Op::ScatterAdd { axis: 0, size }, [rows, index].as_slice())
    }
}

/// The colour of a site.
pub(super) fn colour(colours: &HashMap<Site, usize>, site: Site) -> usize {
    colours.get(&site).copied().unwrap_or(0)
}

/// The product, unless it overflows.
pub(super) fn checked_product(sizes: &[usize]) -> Option<usize> {
    sizes.iter().try_fold(1_usize, |n, &k| n.checked_mul(k))
}

/// The name of the probe of a latent; no field of a data set has it.
pub(super) fn probe_name(latent: &str) -> String {
    format!("{latent}.probe")
}
