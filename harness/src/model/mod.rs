//! Models: the legal behaviours, as a table of statuses and operations.
