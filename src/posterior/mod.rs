//! Model + data → LogDensity; constrained draws.
