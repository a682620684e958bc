//! Messages about source text: codes, labels, rendering.
