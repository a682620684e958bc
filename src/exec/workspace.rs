//! Memory that a run of a plan works in: made once, reused by every run.

use pulp::Arch;

use super::element::Element;
use super::plan::{Plan, Step};
use super::run::{MAX_LANES, PARTIALS, tile};
use super::straight::{Body, Stretch};

/// Storage for one run at a time of one plan. Nothing is allocated in a run.
#[derive(Debug)]
pub(super) struct Workspace<E> {
    /// Lanes that the slots are large enough for.
    lanes: usize,
    pub(super) slots: Vec<Vec<E>>,
    pub(super) scratch: Scratch<E>,
    /// One for each scan.
    pub(super) children: Vec<Workspace<E>>,
    /// Registers of each stretch of straight-line code.
    pub(super) stretches: Vec<Vec<E>>,
    /// Registers of the scan that this belongs to, as straight-line code.
    pub(super) registers: Vec<E>,
    /// New states of a scan, while all old ones are still read.
    pub(super) next: Vec<Vec<E>>,
    /// Results of the scan that this belongs to, while it runs.
    pub(super) results: Vec<Vec<E>>,
}

/// What the steps use while they run.
#[derive(Debug)]
pub(super) struct Scratch<E> {
    /// The instruction set.
    pub(super) arch: Arch,
    /// Registers of fused loops, a tile each.
    pub(super) registers: Vec<Vec<E>>,
    /// Partial sums of fused loops.
    pub(super) sums: Vec<Vec<E>>,
    /// Results that are being written.
    pub(super) taken: Vec<Vec<E>>,
    /// Row panels of matrix products, rows of reductions, columns of factorisations.
    pub(super) panel: Vec<E>,
}

impl<E: Element> Workspace<E> {
    /// Memory for runs of `plan` with up to `lanes` lanes.
    pub(super) fn new(plan: &Plan<E>, lanes: usize) -> Self {
        let zeros = |n: usize| vec![E::zero(); n];
        let scans = plan.steps.iter().filter_map(|step| match step {
            Step::Scan(scan) => Some(scan),
            _ => None,
        });
        Workspace {
            lanes,
            slots: plan.slots.iter().map(|s| zeros(s.len * s.class.width(lanes))).collect(),
            scratch: Scratch {
                arch: crate::simd::arch(),
                registers: (0..plan.registers).map(|_| zeros(tile::<E>())).collect(),
                sums: (0..plan.sums).map(|_| zeros(PARTIALS * MAX_LANES)).collect(),
                taken: Vec::new(),
                panel: Vec::new(),
            },
            children: scans
                .map(|scan| {
                    let lanes_of = |body: &Body<E>| if body.in_lanes { lanes } else { 1 };
                    let size = |body: &Body<E>| body.code.size(lanes_of(body));
                    let registers = zeros(scan.straight.as_ref().map_or(0, size));
                    Workspace { registers, ..Workspace::new(&scan.body, lanes) }
                })
                .collect(),
            stretches: plan
                .alone
                .iter()
                .map(|stretch| match stretch {
                    Stretch::Steps(_) => Vec::new(),
                    Stretch::Straight(part) => part.code.registers(),
                })
                .collect(),
            registers: Vec::new(),
            next: Vec::new(),
            results: Vec::new(),
        }
    }

    /// Whether it is large enough for so many lanes.
    pub(super) fn fits(&self, lanes: usize) -> bool {
        lanes <= self.lanes
    }
}
