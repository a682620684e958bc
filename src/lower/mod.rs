//! Typed tree + data → IR of the log joint.
