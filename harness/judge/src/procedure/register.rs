//! Registers whose every value is written once: zones (Gibbons and Korach 1997, section 4).
//!
//! A value's write and its reads form a *cluster*, and in any legal order a cluster stands together: between the write
//! and the last read nothing else is written. A successful `cas` reads one value and writes another, so the two clusters
//! stand together as well: a *block*. Of a block only two instants matter to other blocks: `done`, the earliest return
//! in it, and `due`, the latest invocation in it. Block A must come before block B exactly if something in A was over
//! before something in B was invoked, that is if A's `done` is before B's `due`.
//!
//! If there is a cycle of such demands there is one of two blocks: the block with the least `done` of the cycle is before
//! every other in it. And if there is none, the order by the lesser of the two instants meets every demand. So it is
//! enough to sort, and to look whether any two stand the wrong way round.
//!
//! A `cas` that was refused only says that another value was there. It is put where it fits into the order found; where
//! it does not fit, another order may do, and the search decides.

use rustc_hash::FxHashMap;

use super::certificate::Sequence;
use super::order::{insert_free, reversed};
use super::{Fast, Fault, Part};
use crate::history::object::{Op, Value};
use crate::model::object::Item;

/// The cluster of one value.
#[derive(Debug, Default)]
struct Cluster {
    /// Who wrote it; `None`: it was there at first.
    writer: Option<u32>,
    reads: Vec<u32>,
    /// The successful `cas` that ended it.
    ender: Option<u32>,
}

/// Clusters that stand together.
struct Block {
    /// In their order.
    places: Vec<u32>,
    /// The earliest return and the latest invocation in it; the first value counts as written before all time.
    done_ns: Option<u64>,
    due_ns: u64,
}

struct Register<'a> {
    part: &'a Part<'a>,
    clusters: Vec<Cluster>,
    index: FxHashMap<Value, u32>,
    /// Whether something of unknown outcome was left out that might have written a value that is written twice.
    is_lenient: bool,
}

pub(super) fn decide(part: &Part<'_>) -> Fast {
    let mut register =
        Register { part, clusters: Vec::new(), index: FxHashMap::default(), is_lenient: false };
    let outcome = register
        .gather()
        .and_then(|()| register.end_clusters())
        .and_then(|()| register.blocks())
        .and_then(|blocks| register.order(blocks));
    match outcome {
        Ok(order) => Fast::Legal(order),
        Err(Fast::Illegal(_)) if register.is_lenient => Fast::Unfit,
        Err(Fast::Illegal(fault)) => Fast::Illegal(register.with_seers(fault)),
        Err(fast) => fast,
    }
}

impl Register<'_> {
    fn item(&self, place: u32) -> &Item {
        self.part.item(place)
    }

    fn cluster(&mut self, value: Value) -> &mut Cluster {
        let next = self.clusters.len() as u32;
        let at = *self.index.entry(value).or_insert(next);
        if at == next {
            self.clusters.push(Cluster::default());
        }
        &mut self.clusters[at as usize]
    }

    /// Gathers the clusters: what must have acted, and of the rest what something else shows to have acted.
    fn gather(&mut self) -> Result<(), Fast> {
        let items = &self.part.items;
        self.clusters.reserve(items.len() / 2);
        self.index.reserve(items.len() / 2);
        self.cluster(self.part.first);
        let mut maybe = Vec::new();
        for (place, item) in (0..).zip(items) {
            match (item.op, item.value, item.saw) {
                (Op::Write | Op::Cas, ..) if !item.must => maybe.push(place),
                (Op::Write, ..) => self.write(place)?,
                (Op::Cas, ..) if !item.refused => self.write(place)?,
                (Op::Read, _, Some(saw)) if item.must => self.cluster(saw).reads.push(place),
                _ => {}
            }
        }
        // A value that was seen was written: whoever may have is taken to have.
        loop {
            let before = maybe.len();
            for place in std::mem::take(&mut maybe) {
                let item = self.item(place);
                let written = if item.op == Op::Cas { item.saw } else { item.value };
                let seen = written.and_then(|written| self.index.get(&written).copied());
                match seen.map(|at| &self.clusters[at as usize]) {
                    Some(cluster) if cluster.writer.is_some() || written == Some(self.part.first) => {
                        self.is_lenient = true;
                    }
                    Some(_) => self.write(place)?,
                    None => maybe.push(place),
                }
            }
            if maybe.len() == before {
                return Ok(());
            }
        }
    }

    /// Beside each operation that never answered, one that shows that it acted.
    fn with_seers(&self, mut fault: Fault) -> Fault {
        let mut at = 0;
        while let Some(&place) = fault.places.get(at) {
            let seer = self.seer_of(place).filter(|_| !self.item(place).must);
            fault.places.extend(seer.filter(|seer| !fault.places.contains(seer)));
            at += 1;
        }
        fault
    }

    /// Takes a write, or a `cas` that set what it should.
    fn write(&mut self, place: u32) -> Result<(), Fast> {
        let item = *self.item(place);
        let is_cas = item.op == Op::Cas;
        let (Some(written), true) =
            (if is_cas { item.saw } else { item.value }, !is_cas || item.value.is_some())
        else {
            return Err(Fast::Unfit);
        };
        let is_first = written == self.part.first;
        let cluster = self.cluster(written);
        if is_first || cluster.writer.replace(place).is_some() {
            return Err(Fast::Unfit);
        }
        if let Some(from) = item.value.filter(|_| is_cas) {
            // Somebody saw it.
            self.cluster(from);
        }
        Ok(())
    }

    /// Notes which cluster each successful `cas` ended.
    fn end_clusters(&mut self) -> Result<(), Fast> {
        for at in 0..self.clusters.len() {
            let Some(place) = self.clusters[at].writer else { continue };
            let item = *self.item(place);
            let Some(from) = item.value.filter(|_| item.op == Op::Cas) else { continue };
            let ended = self.index[&from] as usize;
            if let Some(other) = self.clusters[ended].ender.replace(place) {
                if [other, place].iter().any(|&place| self.written(place) == Some(from)) {
                    // It found what only itself had set.
                    return Err(self.circle());
                }
                let (a, b) = (self.part.the(other), self.part.the(place));
                let sentence = format!(
                    "{a} and {b} both found {}, which was written once: the first of them ended it.",
                    self.part.teller.value(from)
                );
                let writer = self.clusters[ended].writer;
                return Err(Fault::new(sentence, [other, place]).with_possible(writer).into());
            }
        }
        Ok(())
    }

    /// Puts what stands together into its order.
    fn blocks(&self) -> Result<Vec<Block>, Fast> {
        for (value, &at) in &self.index {
            let cluster = &self.clusters[at as usize];
            if cluster.writer.is_none() && *value != self.part.first {
                let seer = cluster.reads.iter().chain(&cluster.ender).min().copied();
                return Err(self.unwritten(*value, seer));
            }
        }
        let mut blocks = Vec::with_capacity(self.clusters.len());
        let mut covered = 0;
        for cluster in &self.clusters {
            let follows = cluster.writer.is_some_and(|writer| self.item(writer).op == Op::Cas);
            if !follows {
                blocks.extend(self.block(cluster, &mut covered)?);
            }
        }
        if covered < self.clusters.len() {
            return Err(self.circle());
        }
        Ok(blocks)
    }

    fn unwritten(&self, value: Value, seer: Option<u32>) -> Fast {
        let shown = self.part.teller.value(value);
        let seer = seer.expect("a value without a writer is there because somebody saw it");
        let first = self.part.teller.value(self.part.first);
        let shown_by = self.shown_by(seer);
        let the = self.part.the(shown_by);
        let sentence = if shown_by == seer {
            format!("{the} cannot be: nobody wrote {shown}, and at first there was {first}.")
        } else {
            format!(
                "{the} cannot be: that takes {shown}, but nobody wrote it, and at first there was {first}."
            )
        };
        Fast::illegal(sentence, [shown_by])
    }

    /// Clusters each of which was begun by a cas that found the value of another: a circle, and none was the first.
    fn circle(&self) -> Fast {
        let is_begun = |cluster: &Cluster| cluster.writer.is_some_and(|place| self.item(place).op == Op::Cas);
        let mut is_led_to = vec![false; self.clusters.len()];
        for begin in (0..self.clusters.len()).filter(|&at| !is_begun(&self.clusters[at])) {
            let mut next = Some(begin);
            while let Some(at) = next {
                is_led_to[at] = true;
                let set = self.clusters[at].ender.and_then(|ender| self.written(ender));
                next = set.map(|set| self.index[&set] as usize);
            }
        }
        let lost = (0..self.clusters.len()).find(|&at| !is_led_to[at]);
        let Some(writer) = lost.and_then(|at| self.clusters[at].writer) else { return Fast::Unfit };
        let shown_by = self.shown_by(writer);
        let shown =
            |value: Option<Value>| value.map_or_else(String::new, |value| self.part.teller.value(value));
        let (found, first) = (shown(self.item(writer).value), shown(Some(self.part.first)));
        let sentence = format!(
            "{} cannot be: at first there was {first}, and whatever led to {found} had to find it there.",
            self.part.the(shown_by),
        );
        Fast::illegal(sentence, [shown_by])
    }

    /// The operation itself, or, where it never answered, one by which it is known to have acted: who saw what it set,
    /// and so on.
    fn shown_by(&self, place: u32) -> u32 {
        let mut shown_by = place;
        for _ in 0..self.clusters.len() {
            let next = self.seer_of(shown_by).filter(|_| !self.item(shown_by).must);
            shown_by = next.unwrap_or(shown_by);
        }
        shown_by
    }

    /// One that saw what an operation wrote.
    fn seer_of(&self, place: u32) -> Option<u32> {
        let cluster = &self.clusters[*self.index.get(&self.written(place)?)? as usize];
        cluster.reads.first().copied().or(cluster.ender)
    }

    /// The block that begins with a cluster; `None` where nothing is in it.
    fn block(&self, cluster: &Cluster, covered: &mut usize) -> Result<Option<Block>, Fast> {
        let mut places = Vec::with_capacity(1 + cluster.reads.len());
        let mut next = Some(cluster);
        let mut has_first = false;
        while let Some(cluster) = next {
            *covered += 1;
            has_first |= cluster.writer.is_none();
            places.extend(cluster.writer);
            let from = places.len();
            places.extend(&cluster.reads);
            places[from..].sort_unstable_by_key(|&place| self.item(place).invoke_ns);
            next = cluster.ender.and_then(|ender| {
                let written = self.item(ender).saw?;
                Some(&self.clusters[self.index[&written] as usize])
            });
        }
        if let Some((earlier, later)) = reversed(&self.part.items, &places) {
            return Err(self.inside(earlier, later));
        }
        let items = || places.iter().map(|&place| self.item(place));
        let Some(due_ns) = items().map(|item| item.invoke_ns).max() else { return Ok(None) };
        let done_ns = items().map(|item| item.deadline_ns).min().filter(|_| !has_first);
        Ok(Some(Block { places, done_ns, due_ns }))
    }

    /// Two of a block that stand the wrong way round: `later` was over before `earlier` was invoked.
    fn inside(&self, earlier: u32, later: u32) -> Fast {
        let (a, b) = (self.part.the(earlier), self.part.the(later));
        let sentence = if self.item(earlier).op == Op::Read {
            // Both stand where one cas or more separate them.
            format!("{b} was over before {a} was invoked, but by then the value had been replaced.")
        } else {
            format!("{b} was over before {a} was invoked.")
        };
        // Whose value was seen has acted, or nobody could have seen it.
        let is_read = self.item(earlier).op == Op::Read;
        let seen = if is_read { vec![earlier, later] } else { vec![later] };
        Fault::new(sentence, seen).with_possible((!is_read).then_some(earlier)).into()
    }

    /// Orders the blocks, and puts in what may stand in several places.
    fn order(&self, mut blocks: Vec<Block>) -> Result<Sequence, Fast> {
        // What is before all time is the first; of two that begin at one instant, the one that is done no earlier than
        // it is due.
        blocks.sort_by_key(|block| {
            let key = block.done_ns.map(|done_ns| done_ns.min(block.due_ns));
            (key, block.done_ns.is_none_or(|done_ns| done_ns < block.due_ns))
        });
        let mut order = Vec::with_capacity(self.part.items.len());
        order.extend(blocks.iter().flat_map(|block| &block.places));
        if let Some((earlier, later)) = reversed(&self.part.items, &order) {
            return Err(self.crossed(&blocks, earlier, later));
        }
        let (mut free, mut refused) = (Vec::new(), Vec::new());
        for (place, item) in (0..).zip(&self.part.items).filter(|(_, item)| item.must) {
            match item.op {
                Op::Read if item.saw.is_none() => free.push(place),
                Op::Cas if item.refused => refused.push(place),
                _ => {}
            }
        }
        if !refused.is_empty() {
            order = self.put_refused(&order, refused)?;
        }
        Ok(Sequence::of(insert_free(&self.part.items, order, free)))
    }

    /// Two blocks each of which must come before the other.
    fn crossed(&self, blocks: &[Block], earlier: u32, later: u32) -> Fast {
        let of = |place: u32| blocks.iter().find(|block| block.places.contains(&place));
        let (Some(a), Some(b)) = (of(earlier), of(later)) else { return Fast::Unfit };
        // B before A, because of these two. And A before B, because of the first done in A and the last due in B.
        let done = a.places.iter().min_by_key(|&&place| self.item(place).deadline_ns).copied();
        let due = b.places.iter().max_by_key(|&&place| self.item(place).invoke_ns).copied();
        let (Some(done), Some(due)) = (done, due) else { return Fast::Unfit };
        let is_first = a.done_ns.is_none();
        if !is_first && !self.item(done).precedes(self.item(due)) {
            return Fast::Unfit;
        }
        let the = |place: u32| self.part.the(place);
        let sentence = if is_first {
            format!(
                "{} was over before {} was invoked, so the first value {} had been replaced by then.",
                the(later),
                the(earlier),
                self.part.teller.value(self.part.first)
            )
        } else {
            let (value_a, value_b) = (self.named(done), self.named(later));
            format!(
                "{value_a} and {value_b} were each there before the other: {} was over before {}, and {} before {}.",
                the(done),
                the(due),
                the(later),
                the(earlier)
            )
        };
        let writers = [&a.places, &b.places].map(|places| places[0]);
        let mut shown: Vec<u32> =
            if is_first { vec![earlier, later] } else { vec![earlier, later, done, due] };
        shown.extend(writers.into_iter().filter(|_| !is_first));
        // Whose value was seen has acted, or nobody could have seen it.
        let is_seen = |place: &u32| {
            let written = self.written(*place);
            let sees = |other: &&u32| {
                let other = self.item(**other);
                match other.op {
                    Op::Read => other.saw,
                    Op::Cas => other.value,
                    _ => None,
                }
            };
            written.is_some() && shown.iter().any(|other| other != place && sees(&other) == written)
        };
        let (seen, needed): (Vec<u32>, Vec<u32>) = shown.iter().copied().partition(is_seen);
        Fault::new(sentence, needed).with_possible(seen).into()
    }

    /// The value that an operation writes.
    fn written(&self, place: u32) -> Option<Value> {
        let item = self.item(place);
        match item.op {
            Op::Write => item.value,
            Op::Cas => item.saw,
            _ => None,
        }
    }

    /// The value that an operation is about.
    fn named(&self, place: u32) -> String {
        let item = self.item(place);
        let value = if item.op == Op::Write { item.value } else { item.saw };
        value.map_or_else(String::new, |value| self.part.teller.value(value))
    }

    /// Puts each refused `cas` where another value is there than it expected.
    fn put_refused(&self, order: &[u32], mut refused: Vec<u32>) -> Result<Vec<u32>, Fast> {
        let length = order.len();
        // Before which place of the order at the earliest, and at the latest: by instants.
        let mut now = vec![0_u64; length + 1];
        let mut values = vec![self.part.first; length + 1];
        for (at, &place) in order.iter().enumerate() {
            let item = self.item(place);
            now[at + 1] = now[at].max(item.invoke_ns);
            values[at + 1] = match item.op {
                Op::Write => item.value.unwrap_or(values[at]),
                Op::Cas => item.saw.unwrap_or(values[at]),
                _ => values[at],
            };
        }
        let mut latest = vec![u64::MAX; length + 1];
        for at in (0..length).rev() {
            latest[at] = latest[at + 1].min(self.item(order[at]).deadline_ns);
        }
        // Where each value's cluster ends.
        let mut ends = vec![length + 1; length + 1];
        for at in (0..length).rev() {
            ends[at] = if values[at] == values[at + 1] { ends[at + 1] } else { at + 1 };
        }
        refused.sort_unstable_by_key(|&place| self.item(place).invoke_ns);
        let mut put: Vec<(usize, u32)> = Vec::with_capacity(refused.len());
        for place in refused {
            let item = self.item(place);
            let mut at = latest.partition_point(|&latest_ns| latest_ns < item.invoke_ns);
            if Some(values[at]) == item.value {
                at = ends[at];
            }
            if at > length || now[at] > item.deadline_ns {
                return Err(Fast::Unfit);
            }
            put.push((at, place));
        }
        put.sort_by_key(|&(at, _)| at);
        let mut whole = Vec::with_capacity(length + put.len());
        let mut put = put.into_iter().peekable();
        for at in 0..=length {
            while let Some((_, place)) = put.next_if(|&(to, _)| to == at) {
                whole.push(place);
            }
            whole.extend(order.get(at));
        }
        match reversed(&self.part.items, &whole) {
            None => Ok(whole),
            Some(_) => Err(Fast::Unfit),
        }
    }
}
