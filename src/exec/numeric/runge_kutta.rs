//! The explicit Runge–Kutta method of Dormand and Prince of order 8, with estimates of orders 5 and 3.
//!
//! Reference: [hairer1993, sec. II.5, dop853] with its coefficients. Steps end exactly at the times asked
//! for, so there is no interpolation error.
//!
//! Several problems are solved side by side, one in each *lane* of vector registers. A lane keeps its own time
//! and step, and takes up the next problem when its own is solved, so a solution does not depend on its
//! neighbours.

#![allow(clippy::needless_range_loop, reason = "loops over lanes have constant bounds")]

use pulp::{Simd, WithSimd};

use crate::ir::Tolerance;

use super::{System, error_norms, first_step, least_step, next_step};

/// Slopes of a step, that at its end included.
const STAGES: usize = 13;

/// Times of the stages, in steps.
const C: [f64; STAGES - 1] = [
    0.052_600_151_958_767_73,
    0.078_900_227_938_151_6,
    0.118_350_341_907_227_4,
    0.281_649_658_092_772_6,
    0.333_333_333_333_333_3,
    0.25,
    0.307_692_307_692_307_7,
    0.651_282_051_282_051_3,
    0.6,
    0.857_142_857_142_857_1,
    1.0,
    1.0,
];

/// Weights of the earlier slopes in each stage, by their numbers; the last stage is the new state.
const A: [&[(usize, f64)]; STAGES - 1] = [
    &[(0, 0.052_600_151_958_767_73)],
    &[(0, 0.019_725_056_984_537_9), (1, 0.059_175_170_953_613_7)],
    &[(0, 0.029_587_585_476_806_85), (2, 0.088_762_756_430_420_54)],
    &[(0, 0.241_365_134_159_266_7), (2, -0.884_549_479_328_286_1), (3, 0.924_834_003_261_792)],
    &[(0, 0.037_037_037_037_037_035), (3, 0.170_828_608_729_473_86), (4, 0.125_467_687_566_822_42)],
    &[
        (0, 0.037_109_375),
        (3, 0.170_252_211_019_544_05),
        (4, 0.060_216_538_980_455_96),
        (5, -0.017_578_125),
    ],
    &[
        (0, 0.037_092_000_118_504_79),
        (3, 0.170_383_925_712_239_98),
        (4, 0.107_262_030_446_373_28),
        (5, -0.015_319_437_748_624_402),
        (6, 0.008_273_789_163_814_023),
    ],
    &[
        (0, 0.624_110_958_716_075_7),
        (3, -3.360_892_629_446_941_4),
        (4, -0.868_219_346_841_726),
        (5, 27.592_099_699_446_71),
        (6, 20.154_067_550_477_894),
        (7, -43.489_884_181_069_96),
    ],
    &[
        (0, 0.477_662_536_438_264_34),
        (3, -2.488_114_619_971_667_7),
        (4, -0.590_290_826_836_843),
        (5, 21.230_051_448_181_193),
        (6, 15.279_233_632_882_423),
        (7, -33.288_210_968_984_86),
        (8, -0.020_331_201_708_508_627),
    ],
    &[
        (0, -0.937_142_430_085_987_3),
        (3, 5.186_372_428_844_064),
        (4, 1.091_437_348_996_729_5),
        (5, -8.149_787_010_746_927),
        (6, -18.520_065_659_996_96),
        (7, 22.739_487_099_350_505),
        (8, 2.493_605_552_679_652_3),
        (9, -3.046_764_471_898_219_6),
    ],
    &[
        (0, 2.273_310_147_516_538),
        (3, -10.534_495_466_737_25),
        (4, -2.000_872_058_224_862_5),
        (5, -17.958_931_863_118_8),
        (6, 27.948_884_529_419_96),
        (7, -2.858_998_277_135_023_5),
        (8, -8.872_856_933_530_63),
        (9, 12.360_567_175_794_303),
        (10, 0.643_392_746_015_763_6),
    ],
    &[
        (0, 0.054_293_734_116_568_765),
        (5, 4.450_312_892_752_409),
        (6, 1.891_517_899_314_500_3),
        (7, -5.801_203_960_010_585),
        (8, 0.311_164_366_957_819_9),
        (9, -0.152_160_949_662_516_1),
        (10, 0.201_365_400_804_030_34),
        (11, 0.044_710_615_727_772_59),
    ],
];

/// Order 8 less order 5, and less order 3.
const E5: &[(usize, f64)] = &[
    (0, 0.013_120_044_994_194_88),
    (5, -1.225_156_446_376_204_4),
    (6, -0.495_758_949_657_250_2),
    (7, 1.664_377_182_454_986_4),
    (8, -0.350_328_848_749_973_66),
    (9, 0.334_179_118_713_017_5),
    (10, 0.081_923_206_485_115_71),
    (11, -0.022_355_307_863_886_294),
];
const E3: &[(usize, f64)] = &[
    (0, -0.189_800_754_072_407_62),
    (5, 4.450_312_892_752_409),
    (6, 1.891_517_899_314_500_3),
    (7, -5.801_203_960_010_585),
    (8, -0.422_682_321_323_791_9),
    (9, -0.152_160_949_662_516_1),
    (10, 0.201_365_400_804_030_34),
    (11, 0.022_651_792_198_360_82),
];

/// Initial value problems, `W` of which are in lanes at a time. States are one number a lane.
pub(in crate::exec) trait Problems<const W: usize> {
    /// Puts a problem in a lane; its initial state.
    fn enter(&mut self, lane: usize, problem: usize) -> Vec<f64>;
    /// The times at which the states of a problem are wanted.
    fn times(&self, problem: usize) -> &[f64];
    /// The right-hand side of each lane's problem at `t`, `y`.
    fn slope(&mut self, t: &[f64; W], y: &[[f64; W]], out: &mut [[f64; W]]);
    /// Takes the state of a problem at time number `row`.
    fn reached(&mut self, problem: usize, row: usize, y: &mut dyn Iterator<Item = f64>);
}

/// Solves as many `problems` of `n` states, each until a step fails.
pub(in crate::exec) fn solve<const W: usize>(
    problems: &mut dyn Problems<W>,
    count: usize,
    n: usize,
    tolerance: Tolerance,
) {
    let arch = crate::simd::arch();
    let mut block = Block::<W> {
        t: [0.0; W],
        y: vec![[0.0; W]; n],
        slopes: vec![[0.0; W]; STAGES * n],
        stage: vec![[0.0; W]; n],
        courses: [None; W],
    };
    let (mut error, mut coarse) = (vec![[0.0; W]; n], vec![[0.0; W]; n]);
    let mut waiting = 0..count;
    loop {
        let mut sizes = [0.0; W];
        let mut steps = [0.0; W];
        for lane in 0..W {
            while let Some(course) = block.course(lane, &mut waiting, problems) {
                block.courses[lane] = block.go(lane, course, problems, tolerance);
                if let Some(Course { size, end, .. }) = block.courses[lane] {
                    sizes[lane] = size;
                    steps[lane] = size.copysign(end - block.t[lane]);
                    break;
                }
            }
        }
        if block.courses.iter().all(Option::is_none) {
            return;
        }
        let Block { t, y, slopes, stage, courses } = &mut block;
        for (s, (weights, c)) in A.iter().zip(C).enumerate() {
            arch.dispatch(Combine { from: Some(y), steps: &steps, weights, slopes, out: stage });
            let mut at = *t;
            at.iter_mut().zip(&steps).for_each(|(t, h)| *t += c * h);
            problems.slope(&at, stage, &mut slopes[(s + 1) * n..(s + 2) * n]);
        }
        arch.dispatch(Combine { from: None, steps: &steps, weights: E5, slopes, out: &mut error });
        arch.dispatch(Combine { from: None, steps: &steps, weights: E3, slopes, out: &mut coarse });
        let (error, coarse) = (&mut error, &coarse);
        let norms = arch.dispatch(Norms { error, coarse, y, new: stage, tolerance });
        let mut accepted = [false; W];
        for (lane, course) in courses.iter_mut().enumerate() {
            let Some(course) = course else { continue };
            let (norm, size) = (norms[lane], sizes[lane]);
            let most = if course.rejected { 1.0 } else { 10.0 };
            let factor = (0.9 * norm.sqrt().sqrt().sqrt().recip()).clamp(0.2, most);
            course.rejected = norm > 1.0;
            accepted[lane] = norm <= 1.0;
            let wanted = size * factor;
            course.wanted = Some(match course.wanted {
                // A step cut short at a time says little about the next.
                Some(h) if accepted[lane] && size < h => h.max(wanted),
                _ => wanted,
            });
            if accepted[lane] {
                let whole = size == (course.end - t[lane]).abs();
                t[lane] = if whole { course.end } else { t[lane] + steps[lane] };
            }
        }
        // The slope at the end is that at the next beginning.
        arch.dispatch(Accept { accepted: &accepted, y, slopes, new: stage });
    }
}

/// How far a lane is with its problem.
#[derive(Debug, Clone, Copy)]
struct Course {
    problem: usize,
    /// The time that it is on its way to, by number, and the steps there so far.
    row: usize,
    end: f64,
    steps: usize,
    /// The step that the error control asks for; `None` before the first.
    wanted: Option<f64>,
    /// The step that is taken.
    size: f64,
    rejected: bool,
}

/// What is in the lanes.
struct Block<const W: usize> {
    t: [f64; W],
    y: Vec<[f64; W]>,
    slopes: Vec<[f64; W]>,
    stage: Vec<[f64; W]>,
    courses: [Option<Course>; W],
}

impl<const W: usize> Block<W> {
    /// The course of a lane, on a new problem if it has none and one is waiting.
    fn course(
        &mut self,
        lane: usize,
        waiting: &mut std::ops::Range<usize>,
        problems: &mut dyn Problems<W>,
    ) -> Option<Course> {
        if self.courses[lane].is_some() {
            return self.courses[lane];
        }
        let problem = waiting.next()?;
        self.t[lane] = 0.0;
        for (y, x) in self.y.iter_mut().zip(problems.enter(lane, problem)) {
            y[lane] = x;
        }
        let fresh = Course {
            problem,
            row: 0,
            end: 0.0,
            steps: 0,
            wanted: None,
            size: 0.0,
            rejected: false,
        };
        Some(fresh)
    }

    /// The course with the size of its next step; `None` when its problem is solved or fails.
    fn go(
        &mut self,
        lane: usize,
        mut course: Course,
        problems: &mut dyn Problems<W>,
        tolerance: Tolerance,
    ) -> Option<Course> {
        let t = self.t[lane];
        loop {
            course.end = *problems.times(course.problem).get(course.row)?;
            if !course.end.is_finite() {
                return None;
            }
            if course.end != t {
                break;
            }
            problems.reached(course.problem, course.row, &mut self.y.iter().map(|y| y[lane]));
            course = Course { row: course.row + 1, steps: 0, rejected: false, ..course };
        }
        let span = course.end - t;
        let wanted = course.wanted.unwrap_or_else(|| {
            let y: Vec<f64> = self.y.iter().map(|y| y[lane]).collect();
            let mut system = Alone { problems, lane, slope: &mut self.stage };
            let mut slope = vec![0.0; y.len()];
            system.slope(t, &y, &mut slope);
            self.slopes.iter_mut().zip(&slope).for_each(|(s, &x)| s[lane] = x);
            first_step(&mut system, (t, span), &y, &slope, 7.0, tolerance)
        });
        let left = span.abs();
        let too_short = wanted.is_nan() || wanted < least_step(t).min(left);
        if too_short || course.steps == tolerance.most_steps {
            return None;
        }
        let size = next_step(wanted, left);
        Some(Course { wanted: Some(wanted), size, steps: course.steps + 1, ..course })
    }
}

/// The problem in one of the lanes.
struct Alone<'a, const W: usize> {
    problems: &'a mut dyn Problems<W>,
    lane: usize,
    /// Room for the slopes of all lanes.
    slope: &'a mut [[f64; W]],
}

impl<const W: usize> System for Alone<'_, W> {
    fn slope(&mut self, t: f64, y: &[f64], out: &mut [f64]) {
        let y: Vec<[f64; W]> = y.iter().map(|&y| [y; W]).collect();
        self.problems.slope(&[t; W], &y, self.slope);
        out.iter_mut().zip(&*self.slope).for_each(|(x, slope)| *x = slope[self.lane]);
    }

    fn jacobian(&mut self, _: f64, _: &[f64], _: &mut [f64]) {
        unreachable!("bug in ppl: an explicit method needs no Jacobian");
    }
}

/// `out = from + steps · Σ weights · slopes`.
struct Combine<'a, const W: usize> {
    from: Option<&'a [[f64; W]]>,
    steps: &'a [f64; W],
    weights: &'a [(usize, f64)],
    slopes: &'a [[f64; W]],
    out: &'a mut [[f64; W]],
}

impl<const W: usize> WithSimd for Combine<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Combine { from, steps, weights, slopes, out } = self;
        let n = out.len();
        for (i, out) in out.iter_mut().enumerate() {
            let mut sum = [0.0; W];
            for &(k, weight) in weights {
                let slope = &slopes[k * n + i];
                for lane in 0..W {
                    sum[lane] = weight.mul_add(slope[lane], sum[lane]);
                }
            }
            let from = from.map_or([0.0; W], |from| from[i]);
            for lane in 0..W {
                out[lane] = steps[lane].mul_add(sum[lane], from[lane]);
            }
        }
    }
}

/// Goes to the states `new` in the lanes whose step is accepted.
struct Accept<'a, const W: usize> {
    accepted: &'a [bool; W],
    y: &'a mut [[f64; W]],
    slopes: &'a mut [[f64; W]],
    new: &'a [[f64; W]],
}

impl<const W: usize> WithSimd for Accept<'_, W> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let Accept { accepted, y, slopes, new } = self;
        let (first, last) = slopes.split_at_mut((STAGES - 1) * y.len());
        for ((y, slope), (new, end)) in y.iter_mut().zip(first).zip(new.iter().zip(last)) {
            for lane in 0..W {
                y[lane] = if accepted[lane] { new[lane] } else { y[lane] };
                slope[lane] = if accepted[lane] { end[lane] } else { slope[lane] };
            }
        }
    }
}

/// The size of the error in each lane, from its two estimates: of order 8 where both are small
/// [hairer1993, eq. II.5.26].
struct Norms<'a, const W: usize> {
    error: &'a mut [[f64; W]],
    coarse: &'a [[f64; W]],
    y: &'a [[f64; W]],
    new: &'a [[f64; W]],
    tolerance: Tolerance,
}

impl<const W: usize> WithSimd for Norms<'_, W> {
    type Output = [f64; W];

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> [f64; W] {
        for (error, coarse) in self.error.iter_mut().zip(self.coarse) {
            for lane in 0..W {
                let ratio = 0.1 * coarse[lane] / error[lane];
                let both = error[lane] / ratio.mul_add(ratio, 1.0).sqrt();
                error[lane] = if error[lane] == 0.0 { 0.0 } else { both };
            }
        }
        error_norms(self.error, self.y, self.new, self.tolerance)
    }
}
