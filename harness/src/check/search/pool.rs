//! A set of configurations without any that another one dominates.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::config::Config;

/// Below this many, looking at all is faster than an index.
const INDEXED_FROM: usize = 24;

const NONE: u32 = u32::MAX;

/// Keys are hashes already.
#[derive(Debug, Default)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// The set.
#[derive(Debug)]
pub(super) struct Pool<const W: usize, const S: usize> {
    configs: Vec<Config<W, S>>,
    /// For each configuration, an earlier one with the same key; only kept once there is an index.
    earlier: Vec<u32>,
    index: HashMap<u64, u32, BuildHasherDefault<Same>>,
}

impl<const W: usize, const S: usize> Default for Pool<W, S> {
    fn default() -> Self {
        Self { configs: Vec::new(), earlier: Vec::new(), index: HashMap::default() }
    }
}

impl<const W: usize, const S: usize> Pool<W, S> {
    pub fn clear(&mut self) {
        self.configs.clear();
        self.earlier.clear();
        self.index.clear();
    }

    pub fn len(&self) -> usize {
        self.configs.len()
    }

    pub fn get(&self, position: usize) -> Option<&Config<W, S>> {
        self.configs.get(position)
    }

    /// What is in it, and nothing stays. Some may be dominated by others that came later.
    pub fn drain_into(&mut self, out: &mut Vec<Config<W, S>>) {
        out.append(&mut self.configs);
        self.clear();
    }

    /// Adds it, unless one that is in already dominates it.
    pub fn insert(&mut self, config: Config<W, S>) {
        if self.configs.len() < INDEXED_FROM {
            let is_dominated = |other: &Config<W, S>| other.is_like(&config) && other.dominates(&config);
            if !self.configs.iter().any(is_dominated) {
                self.configs.push(config);
            }
            return;
        }
        if self.index.is_empty() {
            self.earlier.clear();
            for (position, other) in self.configs.iter().enumerate() {
                self.earlier.push(self.index.insert(other.key, position as u32).unwrap_or(NONE));
            }
        }
        let newest = self.index.get(&config.key).copied().unwrap_or(NONE);
        let mut position = newest;
        while position != NONE {
            let other = &self.configs[position as usize];
            if other.is_like(&config) && other.dominates(&config) {
                return;
            }
            position = self.earlier[position as usize];
        }
        self.earlier.push(newest);
        self.index.insert(config.key, self.configs.len() as u32);
        self.configs.push(config);
    }
}
