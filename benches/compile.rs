//! Compile time over size: lines per second of a model, rows per second of a data file. Constant rates
//! are linear time. `alloc` columns count allocated bytes. Run: `cargo bench --bench compile`.

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use ppl::data::{DataSet, Format};
use ppl::driver::Session;
use ppl::lower::Space;
use shared::model;

mod shared;

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

fn small_data() -> DataSet {
    DataSet::from_bytes("d", Some(Format::Json), b"{\"y\": [1, 2], \"x\": [0.5, 1]}")
        .expect("is JSON")
}

#[divan::bench(args = [100, 300, 1_000, 3_000, 10_000])]
fn check(bencher: Bencher<'_, '_>, lines: usize) {
    let text = model(lines);
    bencher
        .counter(ItemsCount::new(lines))
        .bench(|| Session::new().check("m.ppl", black_box(&text)).expect("checks"));
}

#[divan::bench(args = [100, 300, 1_000, 3_000, 10_000])]
fn check_and_lower(bencher: Bencher<'_, '_>, lines: usize) {
    let (text, data) = (model(lines), small_data());
    bencher.counter(ItemsCount::new(lines)).bench(|| {
        let mut session = Session::new();
        let model = session.check("m.ppl", black_box(&text)).expect("checks");
        session.lower(&model, &data, Space::Unconstrained).expect("lowers")
    });
}

/// To the program that evaluates the log joint, its gradient and Hessian-vector product.
#[divan::bench(args = [100, 300, 1_000, 3_000, 10_000])]
fn compile(bencher: Bencher<'_, '_>, lines: usize) {
    let (text, data) = (model(lines), small_data());
    bencher.counter(ItemsCount::new(lines)).bench(|| {
        let mut session = Session::new();
        let model = session.check("m.ppl", black_box(&text)).expect("checks");
        session.compile(&model, &data).expect("compiles")
    });
}

/// All statements on one line, which is a mistake in each; the same number of lines.
#[divan::bench(args = [100, 1_000, 10_000, 100_000])]
fn one_line(bencher: Bencher<'_, '_>, statements: usize) {
    let text = "let a = 1; ".repeat(statements);
    bencher
        .counter(ItemsCount::new(statements))
        .bench(|| Session::new().check("m.ppl", black_box(&text)).is_none());
}

#[divan::bench(args = [1_000, 10_000, 100_000, 1_000_000])]
fn json(bencher: Bencher<'_, '_>, rows: usize) {
    let column = vec!["-0.123456"; rows].join(", ");
    let text = format!("{{\"y\": [{column}], \"x\": [{column}]}}");
    bencher
        .counter(ItemsCount::new(rows))
        .bench(|| DataSet::from_bytes("d", Some(Format::Json), black_box(text.as_bytes())));
}

#[divan::bench(args = [1_000, 10_000, 100_000, 1_000_000])]
fn csv(bencher: Bencher<'_, '_>, rows: usize) {
    let text = format!("y,x\n{}", "-0.123456,0.654321\n".repeat(rows));
    bencher
        .counter(ItemsCount::new(rows))
        .bench(|| DataSet::from_bytes("d", Some(Format::Csv), black_box(text.as_bytes())));
}
