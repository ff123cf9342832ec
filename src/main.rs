//! The tallyline program: arguments in, exit status out.

fn main() {}
