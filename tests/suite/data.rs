//! Data files: what is read, and that every broken file gets an answer with a place.

use std::path::Path;

use ppl::data::{DataArray, DataError, DataSet, Format, Position, Values};
use proptest::prelude::*;

fn json(text: &str) -> Result<DataSet, Vec<DataError>> {
    DataSet::from_bytes("d.json", Some(Format::Json), text.as_bytes())
}

fn csv(text: &str) -> Result<DataSet, Vec<DataError>> {
    DataSet::from_bytes("d.csv", Some(Format::Csv), text.as_bytes())
}

/// The only error, as text with its code.
fn error(result: Result<DataSet, Vec<DataError>>) -> String {
    let errors = result.unwrap_err();
    assert_eq!(errors.len(), 1, "{errors:?}");
    format!("{} {}", errors[0].code(), errors[0])
}

#[test]
fn json_reads_scalars_arrays_and_special_numbers() {
    let data = json(
        "\u{feff} {\"J\": 8, \"x\": -1.5e-3, \"A\": [[1, 2, 3], [4, 5, 6]], \"m\": [1, 2.5],\n\
         \"s\": [\"NaN\", \"Infinity\", \"+Infinity\", \"-Infinity\", \"inf\", \"-inf\", 1],\n\
         \"n\": [1, null, 3], \"e\": [], \"z\": [[], []], \"\\u03bc\": -9223372036854775808}",
    )
    .unwrap();
    assert_eq!(data.get("J"), Some(&DataArray::int(8)));
    assert_eq!(data.get("x"), Some(&DataArray::real(-1.5e-3)));
    assert_eq!(data.get("A"), Some(&DataArray::ints(vec![2, 3], vec![1, 2, 3, 4, 5, 6])));
    assert_eq!(data.get("m"), Some(&DataArray::reals(vec![2], vec![1.0, 2.5])));
    let s = data.get("s").unwrap().to_reals();
    assert!(s[0].is_nan());
    let inf = f64::INFINITY;
    assert_eq!(s[1..], [inf, inf, -inf, inf, -inf, 1.0]);
    let n = data.get("n").unwrap();
    assert_eq!(n.values, Values::Int(vec![1, 0, 3]));
    assert_eq!(n.missing_elements().collect::<Vec<_>>(), [1]);
    assert!(n.to_reals()[1].is_nan());
    assert_eq!(data.get("e").unwrap().shape, [0]);
    assert_eq!(data.get("z").unwrap().shape, [2, 0]);
    assert_eq!(data.get("μ"), Some(&DataArray::int(i64::MIN)));
    let names: Vec<_> = data.iter().map(|(n, _)| n.to_owned()).collect();
    assert_eq!(names, ["J", "x", "A", "m", "s", "n", "e", "z", "μ"]);
}

#[test]
fn json_fields_and_elements_know_their_place() {
    let data = json("{\"a\": 1,\n \"y\": [[1, \"NaN\"],\n  [null, 4]]}").unwrap();
    let at = |line, column| Some(Position { line, column });
    assert_eq!(data.position("y", None), at(2, 7));
    assert_eq!(data.position("y", Some(1)), at(2, 12));
    assert_eq!(data.position("y", Some(2)), at(3, 4));
    assert_eq!(data.position("y", Some(3)), at(3, 10));
    assert_eq!(data.position("nosuch", None), None);
}

#[test]
fn each_broken_json_file_names_field_index_and_place() {
    for (text, expected) in [
        ("", "E0402 d.json:1:1: not valid JSON: expected an object"),
        ("[1, 2]", "E0402 d.json:1:1: not valid JSON: expected an object"),
        ("{\"a\": 1} x", "E0402 d.json:1:10: not valid JSON: found `x` after the end"),
        ("{\"a\": 1,}", "E0402 d.json:1:9: not valid JSON: a comma stands before"),
        ("{\"a\": [1, 2,]}", "E0402 d.json:1:13: field `a[3]`: not valid JSON: a comma"),
        ("{\"a\": [1, 2", "E0402 d.json:1:12: field `a`: not valid JSON: expected `,` or `]`"),
        ("{a: 1}", "E0402 d.json:1:2: not valid JSON: expected a field name in double quotes"),
        ("{\"a: 1}", "E0402 d.json:1:2: not valid JSON: this string is not closed"),
        ("{\"a\" 1}", "E0402 d.json:1:6: not valid JSON: expected `:`"),
        (
            "{\"a\": .5}",
            "E0402 d.json:1:7: field `a`: not valid JSON: `.5` is not a number; a digit",
        ),
        (
            "{\"a\": 012}",
            "E0402 d.json:1:7: field `a`: not valid JSON: `012` is not a number; JSON",
        ),
        ("{\"a\": +1}", "E0402 d.json:1:7: field `a`: not valid JSON: `+1` is not a number; JSON"),
        ("{\"a\": nope}", "E0402 d.json:1:7: field `a`: not valid JSON: `nope` is not"),
        ("{\"a\": 1,\n\"b\": 2,\n\"a\": 3}", "E0403 d.json:3:1: field `a`: this name occurs twice"),
        (
            "{\"y\": [[1, 2],\n[3]]}",
            "E0404 d.json:2:1: field `y[2]`: ragged array: 1 elements here, 2",
        ),
        ("{\"y\": [[[1], [2, 3]]]}", "E0404 d.json:1:14: field `y[1, 2]`: ragged array: 2"),
        ("{\"y\": [1, [2]]}", "E0404 d.json:1:11: field `y[2]`: numbers and lists"),
        ("{\"y\": [[1], 2]}", "E0404 d.json:1:13: field `y[2]`: numbers and lists"),
        ("{\"y\": [[], 2]}", "E0404 d.json:1:12: field `y[2]`: numbers and lists"),
        (
            "{\"y\": [1, \"NA\"]}",
            "E0405 d.json:1:11: field `y[2]`: \"NA\" is not a number; a missing value is `null`",
        ),
        (
            "{\"y\": \"1.5\"}",
            "E0405 d.json:1:7: field `y`: \"1.5\" is not a number; remove the quotes",
        ),
        (
            "{\"y\": \"abc\"}",
            "E0405 d.json:1:7: field `y`: \"abc\" is not a number; the only strings",
        ),
        ("{\"y\": {\"a\": [1]}}", "E0405 d.json:1:7: field `y`: {...} is not a number"),
        ("{\"y\": 9223372036854775808}", "E0406 d.json:1:7: field `y`: the integer 92233"),
        ("{\"y\": 1e999}", "E0406 d.json:1:7: field `y`: 1e999 is beyond"),
    ] {
        let found = error(json(text));
        assert!(found.starts_with(expected), "{text}\n  found    {found}\n  expected {expected}");
    }
}

#[test]
fn truth_values_are_one_and_zero() {
    let data = json("{\"y\": [true, false, 3]}").unwrap();
    assert_eq!(data.get("y").unwrap().to_ints(), Ok(vec![1, 0, 3]));
}

#[test]
fn one_bad_field_hides_no_other() {
    let errors =
        json("{\"a\": [1, \"x\"], \"b\": {\"c\": [\"]\"]}, \"d\": [[1], [2, 3]], \"e\": 1}");
    let places: Vec<_> = errors.unwrap_err().iter().map(|e| e.place().unwrap()).collect();
    assert_eq!(places, ["a[2]", "b", "d[2]"]);
}

#[test]
fn deep_nesting_is_refused_without_recursion() {
    let text = format!("{{\"y\": {}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    let found = error(json(&text));
    assert!(found.starts_with("E0407"), "{found}");
    assert!(json(&format!("{{\"y\": {}", "[".repeat(200_000))).is_err());
}

#[test]
fn bytes_that_are_not_utf8_are_placed() {
    let found = error(DataSet::from_bytes("d.json", None, b"{\"a\":\n \xff}"));
    assert!(found.starts_with("E0401 d.json:2:2: the data file is not UTF-8"), "{found}");
    let found = error(DataSet::read(Path::new("/no/such/file.json")));
    assert!(found.starts_with("E0401 /no/such/file.json: cannot read"), "{found}");
}

#[test]
fn a_million_numbers_are_read() {
    let rows: Vec<String> = (0..1_000_000).map(|i| format!("{}.25", i)).collect();
    let text = format!("{{\"y\": [{}]}}", rows.join(", "));
    let data = json(&text).unwrap();
    let y = data.get("y").unwrap();
    assert_eq!((y.len(), y.to_reals()[999_999]), (1_000_000, 999_999.25));
}

#[test]
fn csv_reads_columns_by_name() {
    let data = csv("\u{feff}n, x,\"a,b\"\r\n1,1.5,NA\r\n2,,4\r\n-3,inf,5\r\n").unwrap();
    assert_eq!(data.get("n"), Some(&DataArray::ints(vec![3], vec![1, 2, -3])));
    let x = data.get("x").unwrap();
    assert_eq!(x.missing, [false, true, false]);
    assert_eq!(x.to_reals()[2], f64::INFINITY);
    assert_eq!(data.get("a,b").unwrap().values, Values::Int(vec![0, 4, 5]));
    assert_eq!(data.position("x", Some(1)).map(|p| p.line), Some(3));
    assert_eq!(data.position("x", Some(0)).map(|p| p.line), Some(2));
    assert_eq!(csv("x\n").unwrap().get("x").unwrap().shape, [0]);
}

#[test]
fn each_broken_csv_file_names_column_and_line() {
    for (text, expected) in [
        ("", "E0408 d.csv:1:1: the first line must name the columns: the file is empty"),
        ("1,2\n3,4\n", "E0408 d.csv:1:1: the first line must name the columns: `1` is a number"),
        ("a,,b\n1,2,3\n", "E0408 d.csv:1:1: the first line must name the columns: column 2"),
        ("a,a\n1,2\n", "E0403 d.csv:1:1: field `a`: this name occurs twice"),
        ("a,b\n1,2\n3\n", "E0408 d.csv:3:1: this row has 1 cells, but the header names 2"),
        ("a,b\r\n1,2\r\n3,x y\r\n", "E0405 d.csv:3:1: field `b[2]`: `x y` is not a number"),
        ("a\n99999999999999999999\n", "E0406 d.csv:2:1: field `a[1]`: the integer"),
    ] {
        let found = error(csv(text));
        assert!(found.starts_with(expected), "{text}\n  found    {found}\n  expected {expected}");
    }
}

#[test]
fn without_an_extension_the_first_byte_tells_the_format() {
    let read = |text: &str| DataSet::from_bytes("-", None, text.as_bytes()).unwrap();
    assert_eq!(read("\n {\"a\": 1}").get("a"), Some(&DataArray::int(1)));
    assert_eq!(read("a\n1\n").get("a"), Some(&DataArray::ints(vec![1], vec![1])));
}

fn array() -> impl Strategy<Value = DataArray> {
    let real = prop_oneof![
        8 => prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ];
    prop::collection::vec(1_usize..4, 0..4).prop_flat_map(move |shape| {
        let n = shape.iter().product::<usize>();
        let s = shape.clone();
        let ints = prop::collection::vec(any::<i64>(), n)
            .prop_map(move |v| DataArray::ints(shape.clone(), v));
        let reals = prop::collection::vec(real.clone(), n)
            .prop_map(move |v| DataArray::reals(s.clone(), v));
        prop_oneof![ints, reals]
    })
}

proptest! {
    #![proptest_config(crate::effort::cases(256))]

    #[test]
    fn what_is_written_is_read_back(arrays in prop::collection::vec(array(), 0..4)) {
        let named = arrays.into_iter().enumerate().map(|(i, a)| (format!("v{i}"), a));
        let data = DataSet::from_arrays(named);
        let text = data.to_json().to_string();
        let back = json(&text).unwrap();
        prop_assert!(data.iter().zip(back.iter()).all(|((n, a), (m, b))| {
            // A real array whose every element is non-finite or missing stays real as well.
            n == m && a == b
        }), "{text}");
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}\",:a-z0-9.eE+\\- \\\\nul\u{3bc}]{0,60}") {
        let _ = json(&text);
        let _ = json(&format!("{{\"y\": {text}"));
        let _ = csv(&text);
    }
}
