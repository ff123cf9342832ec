//! Deterministic load for programs that count JSON lines, with the exact answer beside it.
