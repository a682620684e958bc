//! Draws → what people and scripts read.
