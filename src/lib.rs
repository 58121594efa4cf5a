//! tunsock's C face: from an exported symbol down to a stack call.
#[cfg(all(not(panic = "abort"), not(test)))]
compile_error!("tunsock must be built with panic=abort: a panic may not unwind into C");

mod fd;
mod runtime;
