//! tunsock's C face: from an exported symbol down to a stack call.
// Test binaries have no preload room, whose names are what calls the rest.
#![cfg_attr(test, allow(dead_code, unused_imports))]

#[cfg(all(not(panic = "abort"), not(test)))]
compile_error!("tunsock must be built with panic=abort: a panic may not unwind into C");

mod capi;
mod fd;
mod names;
#[cfg(not(test))]
mod preload;
mod runtime;
