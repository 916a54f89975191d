//! A set of configurations without any that another one dominates.

use super::config::Config;

/// No earlier one.
const NONE: u32 = u32::MAX;

/// How many places the table has at first, a power of two.
const PLACES_MIN: usize = 64;

/// A place of the table: the position of the latest configuration with some key, if the round is the current one; else
/// it is free.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    round: u32,
    position: u32,
}

/// The set. It is emptied far more often than it is large: the table is an open one, whose places know the round they
/// were taken in, so that emptying it is a matter of counting on.
#[derive(Debug)]
pub(super) struct Pool<const W: usize, const S: usize> {
    configs: Vec<Config<W, S>>,
    /// For each configuration, an earlier one with the same key.
    earlier: Vec<u32>,
    places: Vec<Place>,
    round: u32,
}

impl<const W: usize, const S: usize> Default for Pool<W, S> {
    fn default() -> Self {
        Self {
            configs: Vec::new(),
            earlier: Vec::new(),
            places: vec![Place::default(); PLACES_MIN],
            round: 1,
        }
    }
}

impl<const W: usize, const S: usize> Pool<W, S> {
    pub fn clear(&mut self) {
        self.configs.clear();
        self.earlier.clear();
        self.round = self.round.checked_add(1).unwrap_or_else(|| {
            self.places.fill(Place::default());
            1
        });
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

    /// Adds a changed copy, unless one that is in already dominates it. (The copy is changed in its place: a processor
    /// cannot copy on at once in large pieces what it has just written in small ones.)
    #[inline]
    pub fn insert(&mut self, from: &Config<W, S>, change: impl FnOnce(&mut Config<W, S>)) {
        let added = self.configs.len();
        self.configs.push(*from);
        change(&mut self.configs[added]);
        let config = &self.configs[added];
        let number = self.place(config.key);
        let Place { round, position } = self.places[number];
        let latest = if round == self.round { position } else { NONE };
        let mut position = latest;
        while position != NONE {
            let other = &self.configs[position as usize];
            if other.is_like(config) && other.dominates(config) {
                self.configs.pop();
                return;
            }
            position = self.earlier[position as usize];
        }
        self.places[number] = Place { round: self.round, position: added as u32 };
        self.earlier.push(latest);
        if self.configs.len() * 2 > self.places.len() {
            self.grow();
        }
    }

    /// The number of the place of this key, or of the free one that it will have.
    #[inline]
    fn place(&self, key: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut number = key as usize & mask;
        while let Place { round, position } = self.places[number]
            && round == self.round
            && self.configs[position as usize].key != key
        {
            number = (number + 1) & mask;
        }
        number
    }

    #[cold]
    fn grow(&mut self) {
        self.places = vec![Place::default(); self.places.len() * 2];
        for position in 0..self.configs.len() {
            let number = self.place(self.configs[position].key);
            self.places[number] = Place { round: self.round, position: position as u32 };
        }
    }
}
