//! IR → IR with derivatives.
