//! Findings: a violation with all that is needed to see it again.
