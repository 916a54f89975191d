//! The results folder: evidence, written early and in phases.
