//! Models that are broken, by category.

use super::{BASES, Case, Ends};

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, base) in BASES.iter().enumerate() {
        let case = |category, name: String, model: Vec<u8>| {
            let name = format!("base {i}, {name}");
            Case::of_model(category, name, model).with_data(base.data).ends(Ends::Either)
        };
        let text = base.model;
        let places = places(text);
        for &at in places.iter().step_by(5) {
            cases.push(case("model: cut off", format!("at {at}"), text[..at].into()));
        }
        for (n, control) in ["\0", "\u{1}", "\u{7f}", "\u{85}", "\u{2028}"].iter().enumerate() {
            for &at in places.iter().skip(3 * n + i).step_by(23) {
                let model = format!("{}{control}{}", &text[..at], &text[at..]);
                cases.push(case("model: control sign", format!("at {at}"), model.into()));
            }
        }
        let brackets = text.match_indices(['(', ')', '[', ']', '{', '}']);
        for (n, (at, bracket)) in brackets.enumerate() {
            let other = if bracket == ")" { "]" } else { ")" };
            let put = if n % 2 == 0 { "" } else { other };
            let model = format!("{}{put}{}", &text[..at], &text[at + 1..]);
            let made = case("model: bracket", format!("at {at}"), model.into());
            // In a comment it is none.
            cases.push(made.ends(Ends::Error));
        }
        cases.extend(
            lines(text)
                .map(|(n, model)| case("model: line absent", format!("line {n}"), model.into())),
        );
        for (name, bytes, right) in encodings(text) {
            let ends = if right { Ends::Either } else { Ends::Error };
            cases.push(case("model: encoding", name.into(), bytes).ends(ends));
        }
    }
    cases.extend(nested());
    cases.extend(numbers());
    cases.extend(circles());
    cases.extend(doubling());
    cases.extend(too_large());
    cases.extend(many());
    cases
}

/// Where a word or sign begins.
fn places(text: &str) -> Vec<usize> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut before = ' ';
    let mut places = Vec::new();
    for (at, c) in text.char_indices() {
        if !(is_word(before) && is_word(c)) {
            places.push(at);
        }
        before = c;
    }
    places
}

/// The text without each of its lines.
fn lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    (0..text.lines().count()).map(move |n| {
        let others = text.lines().enumerate().filter(move |(i, _)| *i != n);
        (n + 1, others.map(|(_, line)| format!("{line}\n")).collect())
    })
}

/// The text in other encodings, and whether it still is a model.
pub(super) fn encodings(text: &str) -> Vec<(&'static str, Vec<u8>, bool)> {
    let utf16 =
        |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> { text.encode_utf16().flat_map(bytes).collect() };
    let marked = |mark: &[u8], text: Vec<u8>| [mark, &text].concat();
    let latin1 = format!("// \u{e9}\u{fc}\n{text}").chars().map(|c| c as u32 as u8).collect();
    let with = |bytes: &[u8]| [text.as_bytes(), bytes].concat();
    vec![
        ("UTF-16 little-endian", utf16(u16::to_le_bytes), false),
        ("UTF-16 big-endian", utf16(u16::to_be_bytes), false),
        ("UTF-16 with a mark", marked(b"\xff\xfe", utf16(u16::to_le_bytes)), false),
        ("UTF-32", text.chars().flat_map(|c| (c as u32).to_le_bytes()).collect(), false),
        ("Latin-1", latin1, false),
        ("a lone surrogate", with(b"\xed\xa0\x80"), false),
        ("an overlong slash", with(b"\xc0\xaf"), false),
        ("a cut character", with(b"\xe2\x82"), false),
        ("UTF-8 with a mark", marked(b"\xef\xbb\xbf", text.into()), true),
        ("CR LF", text.replace('\n', "\r\n").into(), true),
        ("CR", text.replace('\n', "\r").into(), true),
    ]
}

/// Nested or chained so and so many times.
fn nested() -> Vec<Case> {
    let kinds: [(&str, &str, &str, &str); 14] = [
        ("round brackets", "let x = ", "(", ")"),
        ("square brackets", "let x = ", "[", "]"),
        ("minus", "let x = ", "-", ""),
        ("not", "let x = ", "!", ""),
        ("calls", "let x = ", "exp(", ")"),
        ("sums", "let x = ", "1 + ", ""),
        ("powers", "let x = ", "2 ^ ", ""),
        ("comparisons", "let x = ", "1 < ", ""),
        ("transposes", "let x = a", "'", ""),
        ("indices", "let x = a[", "a[", "]]"),
        ("loops", "", "for i in 1:2 { ", " }"),
        ("branches", "", "if true { ", " }"),
        ("conditions", "let x = ", "if true { ", " } else { 1 }"),
        ("mixtures", "param x ~ ", "truncate(", ", lower=0)"),
    ];
    let mut cases = Vec::new();
    for (name, before, open, close) in kinds {
        let inner = match name {
            "loops" | "branches" => "factor 1.0",
            "mixtures" => "normal(0, 1)",
            "transposes" => "",
            _ => "1",
        };
        for depth in [50, 65, 250, 257, 1_000, 10_000, 100_000] {
            let text = format!("{before}{}{inner}{}\n", open.repeat(depth), close.repeat(depth));
            let ends = if depth > 256 { Ends::Error } else { Ends::Either };
            let name = format!("{name}, {depth}");
            cases.push(Case::of_model("model: nested", name, text).ends(ends));
        }
    }
    for depth in [1, 100, 100_000] {
        let text = format!("{}let x = 1", "/*".repeat(depth));
        cases.push(Case::of_model("model: nested", format!("comments, {depth}"), text));
    }
    for length in [1_000, 2_100, 60_000] {
        let mut text: String =
            (1..length).map(|i| format!("param a{i} ~ normal(a{}, 1)\n", i + 1)).collect();
        text += &format!("param a{length} ~ normal(0, 1)\n");
        let density = -0.5 * f64::from(length) * (2.0 * std::f64::consts::PI).ln();
        let ends = if length > 2_000 { Ends::Error } else { Ends::Density(density) };
        let name = format!("definitions in reverse, {length}");
        cases.push(Case::of_model("model: nested", name, text).ends(ends));
    }
    cases
}

/// Numbers that are too large, where numbers stand.
fn numbers() -> Vec<Case> {
    let digits = "9".repeat(5_000);
    let numbers = [
        "9223372036854775807",
        "9223372036854775808",
        "99999999999999999999999",
        &digits,
        "1e308",
        "1e309",
        "1e-400",
        "1e999999999999",
        "-9223372036854775808",
        "0",
        "-1",
        "0.5",
    ];
    let places = [
        "param a: real[#] ~ normal(0, 1)",
        "param a: simplex[#] ~ dirichlet([1, 1])",
        "param a: real<lower=#, upper=#> ~ normal(0, 1)",
        "param a ~ normal(#, #)",
        "let a = 1:#",
        "let a = [1, 2][#]",
        "let a = zeros(#)",
        "let a = zeros(2, #)",
        "for i in 1:# { factor 1.0 * i }",
        "for i in #:# { factor 1.0 * i }",
        "let a: real[3] { for i in 1:# { a[i] = i } }",
        "marginal a: int<lower=0, upper=#> ~ poisson(3)",
        "let a = 2 ^ # * (# + #) % # - #",
        "let a = int(#)",
        "let a = binomial_log_density(#, #, 0.5)",
        "param a: cholesky_corr[#] ~ lkj_corr_cholesky(#)",
    ];
    let mut cases = Vec::new();
    for (i, number) in numbers.iter().enumerate() {
        for place in places {
            let text = format!("{}\n", place.replace('#', number));
            let name = format!("number {i} in {place}");
            cases.push(Case::of_model("model: large number", name, text).ends(Ends::Either));
        }
    }
    cases
}

/// Definitions that need themselves, around circles of so many.
fn circles() -> Vec<Case> {
    let mut cases = Vec::new();
    for n in [1, 2, 3, 17, 1_000, 20_000] {
        let circle = |line: &dyn Fn(usize, usize) -> String| -> String {
            (0..n).map(|i| line(i, (i + 1) % n) + "\n").collect()
        };
        let kinds = [
            ("values", circle(&|i, j| format!("let a{i} = a{j} + 1"))),
            ("functions", circle(&|i, j| format!("fn f{i}(x: real) -> real = f{j}(x) + 1"))),
            ("parameters", circle(&|i, j| format!("param a{i} ~ normal(a{j}, 1)"))),
            ("bounds", circle(&|i, j| format!("param a{i}: real<lower=a{j}> ~ normal(0, 1)"))),
            ("sizes", circle(&|i, j| format!("let a{i} = zeros(a{j})"))),
            (
                "distributions",
                circle(&|i, j| {
                    format!("dist d{i}() on real {{ log_density(x) = d{j}_log_density(x) }}")
                }),
            ),
        ];
        for (kind, text) in kinds {
            cases.push(Case::of_model("model: circle", format!("{kind}, {n}"), text));
        }
    }
    cases.push(
        Case::of_model("model: circle", "import".into(), "import \"m.ppl\"\nlet a = 1\n")
            .ends(Ends::Either),
    );
    cases
}

/// Lines of which each uses the one before it twice.
fn doubling() -> Vec<Case> {
    let lines = |first: &str, line: &dyn Fn(usize, usize) -> String, last: &str| -> String {
        let lines: String = (1..60).map(|i| line(i, i - 1) + "\n").collect();
        format!("{first}\n{lines}{last}\n")
    };
    let kinds = [
        (
            "functions",
            lines(
                "fn f0(x: real) -> real = x",
                &|i, j| format!("fn f{i}(x: real) -> real = f{j}(x) + f{j}(x + 1)"),
                "param a ~ normal(f59(1.0), 1)",
            ),
        ),
        (
            "distributions",
            lines(
                "dist d0(m: real) on real { log_density(x) = -square(x - m) }",
                &|i, j| {
                    format!(
                        "dist d{i}(m: real) on real {{ log_density(x) = d{j}_log_density(x, m) \
                         + d{j}_log_density(x, m + 1) }}"
                    )
                },
                "param a: real ~ d59(0)",
            ),
        ),
        ("arrays", lines("let a0 = 1.0", &|i, j| format!("let a{i} = [a{j}, a{j}]"), "")),
        (
            "appended arrays",
            lines("let a0 = [1.0]", &|i, j| format!("let a{i} = append(a{j}, a{j})"), ""),
        ),
        (
            "truncations",
            format!(
                "param x ~ {}normal(0, 1){}\n",
                "truncate(".repeat(40),
                ", lower=0)".repeat(40)
            ),
        ),
    ];
    let case = |(name, text): (&str, String)| Case::of_model("model: doubling", name.into(), text);
    let mut cases: Vec<Case> = kinds.into_iter().map(case).collect();
    let right = [
        (
            "bounds",
            lines(
                "param a0 ~ normal(0, 1)",
                &|i, j| format!("param a{i}: real<lower=a{j}, upper=a{j} + 1> ~ normal(0, 1)"),
                "",
            ),
        ),
        (
            "mixtures",
            format!(
                "param x ~ {}normal(0, 1){}\n",
                "mixture([0.5, 0.5], ".repeat(40),
                ", normal(1, 1))".repeat(40)
            ),
        ),
        ("values", lines("let a0 = 1", &|i, j| format!("let a{i} = a{j} + a{j}"), "")),
        (
            "sums of parameters",
            lines(
                "param a0 ~ normal(0, 1)",
                &|i, j| format!("let a{i} = a{j} + exp(a{j} - a{j})"),
                "",
            ),
        ),
    ];
    cases.extend(right.map(case).into_iter().map(|case| case.ends(Ends::Either)));
    cases
}

/// Arrays whose size in the data file is a mistake.
fn too_large() -> Vec<Case> {
    let models = [
        "let x = zeros(n)\nparam a ~ normal(sum(x), 1)",
        "param x: real[n] ~ normal(0, 1)",
        "param x: real[n, n] ~ normal(0, 1)",
        "param x: simplex[n] ~ dirichlet(ones(n))",
        "param x: cholesky_corr[n] ~ lkj_corr_cholesky(1)",
        "param x: cov_matrix[n]",
        "param x: ordered[n] ~ normal(0, 1)",
        "param x: array[n] simplex[3]",
        "param a ~ normal(0, 1)\nlet m = a * ones(n, n)\nfactor sum(m)",
        "param a ~ normal(0, 1)\nlet m = a * ones(n, n, n, n)\nfactor sum(m)",
        "param a ~ normal(0, 1)\nfor i in 1:n { factor a * i }",
        "param a ~ normal(0, 1)\nfor i in (-n):n { factor a * i }",
        "param a ~ normal(0, 1)\nlet x: real[n] { for i in 1:n { x[i] = a } }\nfactor x[1]",
        "param a ~ normal(0, 1)\nlet x: real[n] {\n  x[1] = a\n  for i in 2:n { x[i] = x[i - 1] }\n}\nfactor x[1]",
        "param a ~ normal(0, 1)\nlet r = 1:n\nfactor a * sum(real(r))",
        "param a ~ normal(0, 1)\nfactor a * sum(diag(ones(n)))",
        "param a ~ normal(0, 1)\nlet k = [a, a] @ ones(2, n)\nfactor sum(k)",
        "marginal z: int<lower=1, upper=n>[n] ~ categorical(ones(n) / n)",
        "param a ~ normal(0, 1)\nlet x = fill(n, a)\nx ~ normal(0, 1)",
        "param a ~ normal(0, 1)\nlet b = [a, a][1:n]\nfactor sum(b)",
        "param a ~ normal(0, 1)\nlet x = repeat([a, a], n)\nfactor sum(x)",
    ];
    let sizes =
        ["1000000000", "2147483648", "4294967296", "9007199254740993", "9223372036854775807"];
    let mut cases = Vec::new();
    for model in models {
        for size in sizes {
            let text = format!("data n: int\n{model}\n");
            let case = Case::of_model("size of 10⁹ and more", format!("{size}, {model}"), text);
            cases.push(case.with_data(format!("{{\"n\": {size}}}")));
        }
    }
    cases
}

/// Declarations, lines, names and comments by the hundred thousand: right, but long.
fn many() -> Vec<Case> {
    let each = |n: usize, line: &dyn Fn(usize) -> String| -> String {
        (0..n).map(|i| line(i) + "\n").collect()
    };
    let broken = [
        ("the same name", each(50_000, &|_| "param a ~ normal(0, 1)".into())),
        ("unknown names", each(100_000, &|i| format!("let a{i} = b{i}"))),
        ("a bad line each", each(100_000, &|_| "let = 1".into())),
        ("open brackets", each(20_000, &|_| "let a = (".into())),
        ("foreign signs", "$ § ? ".repeat(50_000)),
        ("one long line", format!("let a = {}", "1 2 ".repeat(100_000))),
        ("one long name", format!("let {} = b", "a".repeat(1_000_000))),
        ("a million declarations", each(1_000_000, &|i| format!("data d{}: real", i % 999_999))),
    ];
    let case = |(name, text): (&str, String)| Case::of_model("model: long", name.into(), text);
    let mut cases: Vec<Case> = broken.into_iter().map(case).collect();
    let right = [
        ("comments", format!("{}let a = 1", "// c\n".repeat(200_000))),
        ("blank lines", format!("{}let a = 1", "\n".repeat(1_000_000))),
        ("definitions", each(20_000, &|i| format!("let a{i} = {i}"))),
    ];
    cases.extend(right.map(case).into_iter().map(|case| case.ends(Ends::Density(0.0))));
    cases
}
