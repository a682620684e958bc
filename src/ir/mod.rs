//! The IR: a pure function over tensors of concrete shape, in SSA form. Data structure only.
