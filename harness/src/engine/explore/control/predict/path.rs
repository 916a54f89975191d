//! What calls will touch that are about paths.

use super::{
    Access, At, Effect, File, MAKING, MAKING_FILE, OPENING, Opened, Place, Prediction, REMOVING, Scene,
    is_beside, looked_at, shown,
};
use crate::engine::explore::control::call::Opening;

use Access::{Update, Write};

impl Scene<'_> {
    pub(super) fn open(&mut self, at: &At, opening: Opening) -> Prediction {
        let creates = opening.has(libc::O_CREAT);
        let is_own = creates && opening.has(libc::O_EXCL);
        let follow = !is_own && !opening.has(libc::O_NOFOLLOW);
        let Some(place) = self.place(at, follow) else { return self.outside(at) };
        let mut words = format!("open {}", shown(&place.shown));
        for (flag, word) in
            [(libc::O_CREAT, "create"), (libc::O_EXCL, "exclusive"), (libc::O_TRUNC, "truncate")]
        {
            if opening.has(flag) {
                words.push(' ');
                words.push_str(word);
            }
        }
        let open = Prediction::new(words).touching(place.way.iter().copied()).meeting(OPENING);
        let mut open = match (&place.file, &place.folder) {
            (None, Some(folder)) if creates => made(open, folder, &place).meeting(MAKING_FILE),
            (Some(_), _) if creates && opening.has(libc::O_EXCL) => open,
            (Some(file), _) if opening.has(libc::O_TRUNC) => open.writing(file),
            _ => open,
        };
        if let Some(opened) = Opened::at(&place) {
            open.effect = Effect::Open(Box::new(opened));
        }
        open
    }

    /// A call that takes a name away.
    pub(super) fn removal(
        &mut self,
        verb: &str,
        at: &At,
        then: impl FnOnce(Prediction, &Place) -> Prediction,
    ) -> Prediction {
        if let Some(place) = self.place(at, false) {
            self.places.keep(&place);
        }
        self.path_call(verb, at, then)
    }

    /// A link at the end is followed: where it is not, only the link's own attributes change, and they read those.
    pub(super) fn change(
        &mut self,
        at: &At,
        verb: &str,
        how: fn(Prediction, &File) -> Prediction,
    ) -> Prediction {
        let Some(place) = self.place(at, true) else { return self.outside(at) };
        let change =
            Prediction::new(format!("{verb} {}", shown(&place.shown))).touching(place.way.iter().copied());
        match &place.file {
            Some(file) => how(change, file),
            None => change,
        }
    }

    pub(super) fn look(&mut self, at: &At, follow: bool) -> Prediction {
        let Some(place) = self.place(at, follow) else { return self.outside(at) };
        let look =
            Prediction::new(format!("stat {}", shown(&place.shown))).touching(place.way.iter().copied());
        match &place.file {
            Some(file) => look.touching(looked_at(file)),
            None => look,
        }
    }

    pub(super) fn make(&mut self, at: &At, verb: &str) -> Prediction {
        self.path_call(verb, at, |make, place| match (&place.file, &place.folder) {
            (None, Some(folder)) => made(make, folder, place).meeting(MAKING),
            _ => make,
        })
    }

    pub(super) fn remove(&mut self, at: &At, verb: &str) -> Prediction {
        self.removal(verb, at, |remove, place| match (&place.file, &place.folder) {
            (Some(file), Some(folder)) if !file.is_folder => {
                removed(remove, folder, place).touching([(file.links(), Write)]).meeting(REMOVING)
            }
            _ => remove,
        })
    }

    pub(super) fn remove_folder(&mut self, at: &At) -> Prediction {
        self.removal("rmdir", at, |remove, place| match (&place.file, &place.folder) {
            // Whether it is empty is not looked at: that it goes and that it stays depend on its entries alike.
            (Some(file), Some(folder)) if file.is_folder => {
                removed(remove, folder, place).touching([(file.list(), Write)]).meeting(REMOVING)
            }
            _ => remove,
        })
    }

    pub(super) fn link(&mut self, from: &At, to: &At) -> Prediction {
        let source = self.place(from, false);
        let link = self.make(to, "link");
        match source {
            Some(source) => {
                let links = source.file.as_ref().map(|file| (file.links(), Write));
                link.touching(source.way.iter().copied().chain(links))
            }
            None => link,
        }
    }

    pub(super) fn rename(&mut self, from: &At, to: &At) -> Prediction {
        let (source, target) = match (self.place(from, false), self.place(to, false)) {
            (Some(source), Some(target)) => (source, target),
            (None, None) => return Prediction::new(""),
            // To the outside, or in from there.
            (Some(place), None) | (None, Some(place)) => {
                self.places.keep(&place);
                let half = Prediction::new(format!("rename {}", shown(&place.shown)));
                let half = half.touching(place.way.iter().copied());
                return match &place.folder {
                    Some(folder) => removed(half, folder, &place),
                    None => half,
                };
            }
        };
        self.places.keep(&target);
        let label = format!("rename {} to {}", shown(&source.shown), shown(&target.shown));
        let ways = source.way.iter().chain(&target.way).copied();
        let rename = Prediction::new(label).touching(ways);
        let (Some(moved), Some(old), Some(new)) = (&source.file, &source.folder, &target.folder) else {
            return rename;
        };
        let rename = removed(made(rename, new, &target), old, &source).meeting(MAKING);
        // What is above a folder is seen from within it.
        let above = moved.is_folder.then(|| (moved.entry(".."), Write));
        let rename = rename.touching(above);
        match &target.file {
            Some(file) if file.is_folder => rename.touching([(file.list(), Write)]),
            Some(file) => rename.touching([(file.links(), Write)]),
            None => rename,
        }
    }

    pub(super) fn exchange(&mut self, from: &At, to: &At) -> Prediction {
        let mut exchange = self.rename(from, to);
        exchange.label = exchange.label.replacen("rename", "exchange", 1);
        exchange
    }
}

fn made(mut prediction: Prediction, folder: &File, place: &Place) -> Prediction {
    prediction.entries.push((folder.inode, place.name_on_disk.clone()));
    // A name that is not read as it is cannot be looked for.
    prediction.is_wide |= is_beside(&place.shown) || place.shown.contains(char::REPLACEMENT_CHARACTER);
    prediction.touching([(folder.entry(&place.name), Write), (folder.list(), Update)]).changing()
}

fn removed(prediction: Prediction, folder: &File, place: &Place) -> Prediction {
    made(prediction, folder, place)
}
