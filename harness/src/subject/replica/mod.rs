//! Replicas: small faithful ports of historic gVisor protocols, bugs included.
