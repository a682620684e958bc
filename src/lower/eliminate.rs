//! Sums discrete latents out of their tables: variable elimination [koller2009, ch. 9].
//!
//! Sites that no table joins are independent. Those that tables join form components; components of
//! the same structure are summed at once, with an axis over them. A chain becomes a scan, the forward
//! algorithm [rabiner1989, sec. III.A]: `T K²` sums for `T` sites of `K` values. Any other component is
//! summed site by site, each time the one whose sum is smallest. Drawing the sites in the opposite
//! order is not here: `latent_draw`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ir::{Builder, Op, Scan, Shape, Type, ValueId};

use super::Lower;
use super::dependence::{Site, Sites};
use super::latent_draw::{Chain, Eliminated, Elimination};
use super::latents::{Kind, LARGEST_TABLE, Table, checked_product};
use super::lowerer::{Lowerer, Term};

/// Chains of at least so many sites become scans; shorter ones are written out.
const SHORTEST_SCAN: usize = 4;

/// Tables of one kind, added up.
struct Merged {
    scopes: Vec<Sites>,
    /// `[scopes, values…]`.
    value: ValueId,
    /// Row of each scope.
    row: HashMap<Sites, usize>,
}

/// How the sites of a component hang together: the latent of each, and the tables over several, by kind
/// and by position of their sites.
type Structure = (Vec<usize>, Vec<(Kind, Vec<usize>)>);

/// A table over sites of components of one structure: positions of the sites in ascending order, and
/// `[components, values…]`.
struct Potential {
    scope: Vec<usize>,
    value: ValueId,
}

impl Lowerer<'_> {
    /// Sums out all latents: adds a term for each group of them that tables join. With `draw` each
    /// latent then is a draw from its distribution given the parameters and the data.
    pub(super) fn sum_out(&mut self, draw: bool) -> Lower<()> {
        if let Some(error) = self.without_distribution() {
            return Err(error);
        }
        let tables = std::mem::take(&mut self.latents.tables);
        let mut families = Union::new(self.latents.all.len());
        for table in &tables {
            table.kind.iter().for_each(|&l| families.join(table.kind[0], l));
        }
        for family in families.groups() {
            let (own, kinds): (Vec<&Table>, _) = {
                let own: Vec<&Table> =
                    tables.iter().filter(|t| family.contains(&t.kind[0])).collect();
                let kinds: BTreeSet<&Kind> = own.iter().map(|t| &t.kind).collect();
                (own, kinds)
            };
            let span = self.latents.all[family[0]].span;
            self.at(span, |l| -> Lower<()> {
                let mut merged = BTreeMap::new();
                for &latent in &family {
                    let m = l.merged(&vec![latent], &own);
                    merged.insert(vec![latent], m);
                }
                for kind in kinds.into_iter().filter(|k| k.len() > 1) {
                    let m = l.merged(kind, &own);
                    merged.insert(kind.clone(), m);
                }
                let value = l.sum_family(&family, &merged, &own, draw)?;
                let observed = observed(&own);
                l.terms.push(Term { value, span, observed, of_latent: false });
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The sum of the tables of one kind. Those of single sites are there for every site, with its
    /// bounds and probe.
    fn merged(&mut self, kind: &Kind, tables: &[&Table]) -> Merged {
        let of_kind: Vec<&&Table> = tables.iter().filter(|t| t.kind == *kind).collect();
        let mut start = Vec::new();
        let scopes: Vec<Sites> = if let [latent] = kind.as_slice() {
            let latent = &self.latents.all[*latent];
            start.push(latent.probe_value);
            start.extend(latent.outside);
            (latent.first..latent.first + latent.sites()).map(|s| Sites::from_slice(&[s])).collect()
        } else {
            let all: BTreeSet<&Sites> = of_kind.iter().flat_map(|t| &t.scopes).collect();
            all.into_iter().cloned().collect()
        };
        let row: HashMap<Sites, usize> =
            scopes.iter().enumerate().map(|(i, s)| (s.clone(), i)).collect();
        for table in of_kind {
            let places = table.scopes.iter().map(|s| row[s]).collect();
            start.push(self.add_rows(table.value, places, scopes.len()));
        }
        let value = start[1..].iter().fold(start[0], |sum, &v| self.b.plus(sum, v));
        Merged { scopes, value, row }
    }

    /// `log Σ exp` over all sites of a family, for each of its components; in the shape of the latent
    /// if each of its elements is one.
    fn sum_family(
        &mut self,
        family: &[usize],
        merged: &BTreeMap<Kind, Merged>,
        tables: &[&Table],
        draw: bool,
    ) -> Lower<ValueId> {
        let components = self.components(family, merged);
        let count = components.len();
        let single = family.len() == 1 && components.iter().all(|c| c.len() == 1);
        let mut numbered: BTreeMap<Structure, Vec<usize>> = BTreeMap::new();
        for (i, structure) in self.structures(&components, merged).into_iter().enumerate() {
            numbered.entry(structure).or_default().push(i);
        }
        let mut sums = Vec::with_capacity(numbered.len());
        let mut order = Vec::with_capacity(count);
        let mut drawn = Vec::new();
        for (structure, numbers) in numbered {
            let own: Vec<&Vec<Site>> = numbers.iter().map(|&i| &components[i]).collect();
            let (sum, elimination) = self.sum_components(&structure, &own, merged, tables)?;
            sums.push(sum);
            order.extend(numbers);
            if draw {
                drawn.extend(self.draw_components(&elimination, &own)?);
            }
        }
        if draw {
            self.define_drawn(family, &drawn);
        }
        let mut sum = match sums.as_slice() {
            [] => self.b.splat(0.0, &[0]),
            _ => self.b.concat(&sums, 0),
        };
        if !order.is_sorted() {
            let mut place = vec![0; count];
            for (at, i) in order.into_iter().enumerate() {
                place[i] = at;
            }
            let index = self.b.ints(place);
            sum = self.b.gather(sum, 0, index);
        }
        Ok(if single {
            let shape = self.latents.all[family[0]].shape.clone();
            self.b.reshape(sum, &shape)
        } else if count == 1 {
            self.b.reshape(sum, &[])
        } else {
            sum
        })
    }

    /// Sites that tables join, directly or through others; ascending, by their first.
    fn components(&self, family: &[usize], merged: &BTreeMap<Kind, Merged>) -> Vec<Vec<Site>> {
        let sites: Vec<Site> = family
            .iter()
            .map(|&l| &self.latents.all[l])
            .flat_map(|l| l.first..l.first + l.sites())
            .collect();
        let at = |site: Site| sites.binary_search(&site).expect("a site of the family");
        let mut union = Union::new(sites.len());
        for m in merged.iter().filter(|(kind, _)| kind.len() > 1).map(|(_, m)| m) {
            for scope in &m.scopes {
                scope.iter().for_each(|&s| union.join(at(scope[0]), at(s)));
            }
        }
        union.groups().into_iter().map(|g| g.into_iter().map(|i| sites[i]).collect()).collect()
    }

    /// The structure of each component.
    fn structures(
        &self,
        components: &[Vec<Site>],
        merged: &BTreeMap<Kind, Merged>,
    ) -> Vec<Structure> {
        let mut of_site: HashMap<Site, usize> = HashMap::new();
        let mut structures: Vec<Structure> = Vec::with_capacity(components.len());
        for (i, component) in components.iter().enumerate() {
            of_site.extend(component.iter().map(|&s| (s, i)));
            let owners = component.iter().map(|&s| self.latents.owner(s)).collect();
            structures.push((owners, Vec::new()));
        }
        for (kind, m) in merged.iter().filter(|(kind, _)| kind.len() > 1) {
            for scope in &m.scopes {
                let i = of_site[&scope[0]];
                let place =
                    |s| components[i].binary_search(s).expect("a scope is in one component");
                structures[i].1.push((kind.clone(), scope.iter().map(place).collect()));
            }
        }
        structures
    }

    /// The sums `[components]` of components of one structure, and how they came about.
    fn sum_components(
        &mut self,
        structure: &Structure,
        components: &[&Vec<Site>],
        merged: &BTreeMap<Kind, Merged>,
        tables: &[&Table],
    ) -> Lower<(ValueId, Elimination)> {
        let (owners, joins) = structure;
        if let Some(path) = path(owners, joins) {
            return Ok(self.chain(owners[0], path, components, merged));
        }
        let mut potentials = Vec::new();
        let single = (0..owners.len()).map(|i| (vec![owners[i]], vec![i]));
        for (kind, scope) in single.chain(joins.iter().cloned()) {
            let m = &merged[&kind];
            let rows = components
                .iter()
                .map(|c| m.row[&scope.iter().map(|&i| c[i]).collect::<Sites>()])
                .collect();
            let value = self.rows(m.value, rows);
            potentials.push(Potential { scope, value });
        }
        let sizes: Vec<usize> = owners.iter().map(|&l| self.latents.all[l].values).collect();
        let mut left: BTreeSet<usize> = (0..owners.len()).collect();
        let mut total = None;
        let mut eliminated = Vec::with_capacity(owners.len());
        while !left.is_empty() {
            // The joint table of each site with its neighbours; the smallest is summed first.
            let joint = |site: usize| -> Vec<usize> {
                let near = potentials.iter().filter(|p| p.scope.contains(&site));
                let all: BTreeSet<usize> = near.flat_map(|p| p.scope.iter().copied()).collect();
                all.into_iter().collect()
            };
            let size = |scope: &[usize]| {
                checked_product(&scope.iter().map(|&i| sizes[i]).collect::<Vec<_>>())
            };
            let (site, scope) = left
                .iter()
                .map(|&site| (site, joint(site)))
                .min_by_key(|(_, scope)| size(scope).unwrap_or(usize::MAX))
                .expect("some are left");
            let combinations = size(&scope);
            let numbers = combinations.and_then(|n| n.checked_mul(components.len()));
            if numbers.is_none_or(|n| n > LARGEST_TABLE) {
                let span = tables.iter().find(|t| t.kind.len() > 1).map_or(self.here(), |t| t.span);
                return Err(self.explodes(span, combinations, owners.iter().copied()));
            }
            left.remove(&site);
            let (near, far): (Vec<_>, Vec<_>) =
                potentials.into_iter().partition(|p| p.scope.contains(&site));
            potentials = far;
            let mut shape: Shape = [components.len()].as_slice().into();
            shape.extend(scope.iter().map(|&i| sizes[i]));
            let mut sum = None;
            for p in near {
                let mut axes: Shape = [0].as_slice().into();
                let place = |i: &usize| scope.binary_search(i).expect("in the joint scope") + 1;
                axes.extend(p.scope.iter().map(place));
                let value = self.b.broadcast(p.value, &shape, &axes);
                sum = Some(match sum {
                    None => value,
                    Some(sum) => self.b.plus(sum, value),
                });
            }
            let at = scope.binary_search(&site).expect("a site is in its own scope");
            let sum = sum.expect("every site has a table of its own");
            let value = self.b.add(Op::LogSumExp([at + 1].as_slice().into()), [sum].as_slice());
            let rest: Vec<usize> = scope.iter().copied().filter(|&i| i != site).collect();
            eliminated.push(Eliminated { at, scope, table: sum });
            if rest.is_empty() {
                total = Some(match total {
                    None => value,
                    Some(total) => self.b.plus(total, value),
                });
            } else {
                potentials.push(Potential { scope: rest, value });
            }
        }
        let total = total.expect("a component has a site");
        Ok((total, Elimination::SiteBySite(eliminated)))
    }

    /// Rows of a table.
    fn rows(&mut self, value: ValueId, rows: Vec<usize>) -> ValueId {
        if rows.iter().copied().eq(0..self.b.shape(value)[0]) {
            return value;
        }
        let index = self.b.ints(rows);
        self.b.gather(value, 0, index)
    }

    /// The forward algorithm along chains `[components]`; `path` has the positions of the sites in order.
    fn chain(
        &mut self,
        latent: usize,
        path: Vec<usize>,
        components: &[&Vec<Site>],
        merged: &BTreeMap<Kind, Merged>,
    ) -> (ValueId, Elimination) {
        let (k, count, steps) = (self.latents.all[latent].values, components.len(), path.len());
        let (single, pairs) = (&merged[&vec![latent]], &merged[&vec![latent, latent]]);
        let rows = path
            .iter()
            .flat_map(|&at| {
                components.iter().map(move |c| single.row[&Sites::from_slice(&[c[at]])])
            })
            .collect();
        let own = self.rows(single.value, rows);
        let own = self.b.reshape(own, &[steps, count, k]);

        // Log transition weights `[steps − 1, components, from, to]`, turned where a step goes from the
        // later site of its table to the earlier one.
        let mut rows = Vec::with_capacity((steps - 1) * count);
        for step in path.windows(2) {
            for c in components {
                let (from, to) = (c[step[0]], c[step[1]]);
                rows.push((
                    pairs.row[&Sites::from_slice(&[from.min(to), from.max(to)])],
                    from > to,
                ));
            }
        }
        let flat_rows = rows.iter().map(|r| r.0).collect();
        let joint = if rows.iter().any(|r| r.1) {
            let place = |(row, turned): &(usize, bool)| {
                let (row, turned) = (*row, *turned);
                (0..k * k).map(move |i| row * k * k + if turned { i % k * k + i / k } else { i })
            };
            let index: Vec<usize> = rows.iter().flat_map(place).collect();
            let total = self.b.ty(pairs.value).len();
            let flat = self.b.reshape(pairs.value, &[total]);
            let index = self.b.ints(index);
            self.b.gather(flat, 0, index)
        } else {
            self.rows(pairs.value, flat_rows)
        };
        let joint = self.b.reshape(joint, &[steps - 1, count, k, k]);

        let mut step = Builder::new("forward");
        step.set_span(self.b.span());
        let before = step.input("before", Type::real([count, k].as_slice()));
        let here = step.input("own", Type::real([count, k].as_slice()));
        let weights = step.input("transition", Type::real([count, k, k].as_slice()));
        let spread = step.broadcast(before, &[count, k, k], &[0, 1]);
        let both = step.plus(spread, weights);
        let arriving = step.add(Op::LogSumExp([1].as_slice().into()), [both].as_slice());
        let after = step.plus(arriving, here);
        step.output("after", after);
        step.output("filtered", after);
        let scan =
            Scan { body: step.finish(), length: steps - 1, carries: 1, xs: 2, reverse: false };
        let first = self.b.slice_axis(own, 0, 0, 1);
        let first = self.b.reshape(first, &[count, k]);
        let rest = self.b.slice_axis(own, 0, 1, steps);
        let scanned = self.b.scan(scan, &[first, rest, joint]);
        let sum = self.b.add(Op::LogSumExp([1].as_slice().into()), [scanned[0]].as_slice());
        let chain = Chain { path, first, filtered: scanned[1], joint };
        (sum, Elimination::Forward(chain))
    }
}

/// The positions of the sites in order, if they form a chain long enough.
fn path(owners: &[usize], joins: &[(Kind, Vec<usize>)]) -> Option<Vec<usize>> {
    let n = owners.len();
    let same = owners.iter().all(|l| *l == owners[0]);
    if n < SHORTEST_SCAN || joins.len() != n - 1 || !same || joins.iter().any(|j| j.1.len() != 2) {
        return None;
    }
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); n];
    for (_, pair) in joins {
        neighbours[pair[0]].push(pair[1]);
        neighbours[pair[1]].push(pair[0]);
    }
    if neighbours.iter().any(|n| n.len() > 2) {
        return None;
    }
    // A connected graph with one edge less than sites has no circle, so it has ends.
    let mut path = vec![neighbours.iter().position(|n| n.len() == 1)?];
    while let Some(&next) =
        neighbours[path[path.len() - 1]].iter().find(|i| path.iter().rev().take(2).all(|p| p != *i))
    {
        path.push(next);
    }
    Some(path)
}

/// The data of a family's likelihood, if that is all that its tables are beyond the latents' own
/// distributions.
fn observed(tables: &[&Table]) -> Option<String> {
    let names: Option<BTreeSet<&str>> =
        tables.iter().filter(|t| !t.of_latent).map(|t| t.observed.as_deref()).collect();
    let names: Vec<&str> = names?.into_iter().collect();
    (!names.is_empty()).then(|| names.join("_"))
}

/// Disjoint sets.
struct Union {
    parent: Vec<usize>,
}

impl Union {
    fn new(n: usize) -> Self {
        Union { parent: (0..n).collect() }
    }

    fn root(&mut self, mut i: usize) -> usize {
        while self.parent[i] != i {
            self.parent[i] = self.parent[self.parent[i]];
            i = self.parent[i];
        }
        i
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        // The smaller is the root, so that groups stand in the order of their first members.
        self.parent[a.max(b)] = a.min(b);
    }

    /// The sets, each ascending, in order of their first members.
    fn groups(mut self) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for i in 0..self.parent.len() {
            groups.entry(self.root(i)).or_default().push(i);
        }
        groups.into_values().collect()
    }
}
