//! IR → IR with the same values.
