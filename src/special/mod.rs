//! Scalar special functions in f64, with stated error bounds.
