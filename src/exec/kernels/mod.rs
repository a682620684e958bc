//! Inner loops over numbers in lane layout: `[n][width]`, `width` being the lanes or 1.
//!
//! | file | what |
//! |---|---|
//! | `elementwise` | arithmetic and elementary functions |
//! | `reduce` | sums, running sums, maximum, log-sum-exp |
//! | `index` | putting parts in place, gather, scatter |
//! | `gemm` | matrix product with a left matrix that all lanes share |
//! | `linalg` | the other matrix products, Cholesky factor, triangular solve |

pub(super) mod elementwise;
pub(super) mod gemm;
pub(super) mod index;
pub(super) mod linalg;
pub(super) mod reduce;
