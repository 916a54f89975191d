//! Controlled programs: any command, held at its system calls with all its threads and children.
//!
//! [`filter`] says where a program stops, by the table of all system calls; [`decode`] says what a stopped call does.

#[expect(dead_code, reason = "the machine that holds programs is not all there yet")]
pub(crate) mod class;
#[expect(dead_code, reason = "the machine that holds programs is not all there yet")]
pub(crate) mod decode;
#[expect(dead_code, reason = "the machine that holds programs is not all there yet")]
pub(crate) mod filter;
#[expect(dead_code, reason = "the machine that holds programs is not all there yet")]
pub(crate) mod memory;
#[expect(dead_code, reason = "the machine that holds programs is not all there yet")]
pub(crate) mod table;
