//! The `tunsock` command.
fn main() {}
