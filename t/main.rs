//! Tests of the whole: the program as it is built, and the source as it stands.
//!
//! - [`cli`]: the command line, as an administrator uses it
//! - [`layering`]: who may use whom
//! - [`manual`]: the manual and the samples against the code
//! - [`harness`]: what the tests share
//!
//! Must never: need another program, root or the network. Such tests are in `interop/`.

mod cli;
mod harness;
mod layering;
mod manual;
