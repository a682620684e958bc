# Names for the parts of .ci/run, which is the truth.

# The whole gate.
ci:
    .ci/run

# Types, lints and format.
check:
    cargo fmt --check
    cargo clippy --release --all-targets -- -D warnings

# The test suite, or the tests whose names contain NAME.
test NAME="":
    cargo test --release {{NAME}}

# The slow suites: published tables and long posteriors.
slow NAME="":
    PPL_SLOW=1 cargo test --release {{NAME}} -- --nocapture

# Accept changed snapshots after looking at the diff.
review:
    INSTA_UPDATE=always cargo test --release; git diff --stat

# The binary with CUDA, for GPUs of CAPABILITY and later; needs no GPU (docs/cuda.md).
cuda CAPABILITY="8.0":
    build/cuda {{CAPABILITY}}

# Benches.
bench:
    cargo bench
