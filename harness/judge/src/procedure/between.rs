//! What lies between two sights of how many numbers were taken: the proof that there are too many or too few.

use super::slots::{Job, Sight, Source};

/// Two sights of the counter, and what lies between them.
pub struct Between {
    before: (i128, Option<(u64, u64)>),
    after: (i128, Option<(u64, u64)>),
}

impl Between {
    /// Where too many lie: after the first was over, before the second was invoked.
    pub fn many(jobs: &[Job], sights: &[Sight], before: Source, after: Source) -> Self {
        Self::of(jobs, sights, (before, 1), (after, 0))
    }

    /// Where too few can lie: after the first was invoked, before the second was over.
    pub fn few(jobs: &[Job], sights: &[Sight], before: Source, after: Source) -> Self {
        Self::of(jobs, sights, (before, 0), (after, 1))
    }

    /// An end, and whether a job that is one has taken its own number there.
    fn of(jobs: &[Job], sights: &[Sight], before: (Source, i128), after: (Source, i128)) -> Self {
        let end = |(source, own): (Source, i128)| match source {
            Source::None => (0, None),
            Source::Sight(at) => {
                let sight = sights[at as usize];
                (i128::from(sight.count), Some((sight.from_ns, sight.until_ns)))
            }
            Source::Job(at) => {
                let job = jobs[at as usize];
                (i128::from(job.fixed.unwrap_or(0)) + own, Some((job.from_ns, job.until_ns)))
            }
        };
        Self { before: end(before), after: end(after) }
    }

    /// How many numbers were taken between the two.
    pub fn grown(&self) -> i128 {
        self.after.0 - self.before.0
    }

    /// One more than there is room for between the two.
    pub fn one_too_many(&self) -> usize {
        usize::try_from(self.grown().max(0)).map_or(usize::MAX, |room| room + 1)
    }

    fn has_number(&self, job: &Job) -> bool {
        job.fixed.is_some_and(|number| (self.before.0..self.after.0).contains(&i128::from(number)))
    }

    /// Those that must have acted between the two.
    pub fn wholly(&self, jobs: &[Job]) -> Vec<u32> {
        let is_between = |job: &Job| {
            let after_first = self.before.1.is_none_or(|(_, until_ns)| until_ns < job.from_ns);
            let before_last = self.after.1.is_none_or(|(from_ns, _)| job.until_ns < from_ns);
            job.must && (self.has_number(job) || after_first && before_last)
        };
        (0..).zip(jobs).filter(|(_, job)| is_between(job)).map(|(at, _)| at).collect()
    }

    /// Those that can have acted between the two.
    pub fn possibly(&self, jobs: &[Job]) -> Vec<u32> {
        let is_possible = |job: &Job| {
            let not_before = self.before.1.is_none_or(|(from_ns, _)| job.until_ns >= from_ns);
            let not_after = self.after.1.is_none_or(|(_, until_ns)| job.from_ns <= until_ns);
            if job.fixed.is_some() { self.has_number(job) } else { not_before && not_after }
        };
        (0..).zip(jobs).filter(|(_, job)| is_possible(job)).map(|(at, _)| at).collect()
    }
}

/// How many were made: `1 addition was over`, after which `between` or `before` follows.
pub fn made(count: usize, what: &str) -> String {
    format!("{} {} made", crate::words::plural(count as u64, what), if count == 1 { "was" } else { "were" })
}

/// How many can have acted between two.
pub fn can(count: usize, what: &str) -> String {
    match count {
        0 => format!("no {what} can have acted between the two"),
        _ => format!(
            "no more than {} can have acted between the two",
            crate::words::plural(count as u64, what)
        ),
    }
}

/// How many were invoked before one returned.
pub fn invoked(count: usize, what: &str) -> String {
    match count {
        0 => format!("before it returned no {what} was invoked"),
        1 => format!("before it returned no more than 1 {what} was invoked"),
        _ => format!("before it returned no more than {count} {what}s were invoked"),
    }
}
