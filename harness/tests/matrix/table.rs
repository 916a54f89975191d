//! Every bug against every replica.

use std::path::Path;

use flockwork_harness::plan::Budget;
use flockwork_harness::process::Zygote;
use flockwork_harness::scenario::{Scenario, Work};
use flockwork_harness::violation::Class;

use super::runs::{Sighting, names, on_library, on_replica, scenario, sight};

/// The replicas, the oldest first: the columns.
pub const REPLICAS: [&str; 5] =
    ["gvisor-unlocked", "gvisor-2018", "gvisor-2019", "gvisor-2024", "gvisor-2026"];

/// How it is known whether a replica has a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// It has it: the bug's scenario shows the class there.
    Shows,
    /// It has it: a test of the replica steps through it.
    Stepped,
    /// It has it not: the bug's scenario does not show the class, for nothing else there could bring it about.
    Clean,
    /// It has it not, though another bug shows the same class: the document says why, and a stepped test shows it.
    Argued,
}

use Cell::{Argued, Clean, Shows, Stepped};

impl Cell {
    /// As the document spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Shows => "**shows**",
            Stepped => "**stepped**",
            Clean => "clean",
            Argued => "argued",
        }
    }
}

/// A bug: the row.
pub struct Bug {
    pub name: &'static str,
    /// Of those that the scenario expects, the class that this bug alone can bring about in a `Clean` cell.
    pub class: Class,
    pub cells: [Cell; 5],
    /// The test in harness/src/subject/replica/tests that steps through what no run can decide.
    pub stepped: &'static str,
}

/// The table.
pub const BUGS: [Bug; 14] = [
    Bug {
        name: "no-lock",
        class: Class::DuplicateCreate,
        cells: [Shows, Argued, Argued, Argued, Argued],
        stepped: "the_right_lock_file_keeps_a_load_out",
    },
    Bug {
        name: "wrong-lock-file",
        class: Class::TornRead,
        cells: [Argued, Shows, Argued, Clean, Clean],
        stepped: "the_flat_layout_locks_one_file_and_makes_no_folder",
    },
    Bug {
        name: "stale-status",
        class: Class::LostUpdate,
        cells: [Argued, Shows, Shows, Shows, Shows],
        stepped: "stale_status_lets_two_pauses_succeed",
    },
    Bug {
        name: "unlocked-destroy",
        class: Class::LockOverlap,
        cells: [Clean, Shows, Argued, Argued, Argued],
        stepped: "a_destroy_waits_for_the_lock_since_2019",
    },
    Bug {
        name: "resurrection",
        class: Class::Resurrection,
        cells: [Argued, Shows, Argued, Argued, Argued],
        stepped: "the_flat_layout_locks_one_file_and_makes_no_folder",
    },
    Bug {
        name: "ghost",
        class: Class::Leftover,
        cells: [Argued, Shows, Argued, Argued, Argued],
        stepped: "a_failed_create_leaves_a_ghost_in_2018_only",
    },
    Bug {
        name: "own-cleanup",
        class: Class::LockOverlap,
        cells: [Clean, Shows, Argued, Argued, Argued],
        stepped: "own_cleanup_removes_the_held_lock_in_2018_and_an_unheld_one_since",
    },
    Bug {
        name: "torn-by-kill",
        class: Class::Unrecoverable,
        // The refused creates of 2019 delete what is torn, mostly before anybody examines it.
        cells: [Shows, Shows, Stepped, Shows, Shows],
        stepped: "torn_by_kill_leaves_a_container_that_nobody_can_use_or_remove",
    },
    Bug {
        name: "rejected-create-deletes",
        class: Class::Collateral,
        cells: [Argued, Clean, Shows, Clean, Clean],
        stepped: "a_refused_create_deletes_the_container_in_its_way_until_2024",
    },
    Bug {
        name: "unlink-while-held",
        class: Class::LockOverlap,
        cells: [Clean, Argued, Shows, Shows, Shows],
        stepped: "a_destroy_waits_for_the_lock_since_2019",
    },
    Bug {
        name: "cleanup-after-unlock",
        class: Class::Collateral,
        cells: [Argued, Clean, Stepped, Shows, Shows],
        stepped: "cleanup_after_unlock_destroys_the_container_of_a_create_that_slipped_in",
    },
    Bug {
        name: "orphan-lock",
        class: Class::Leftover,
        cells: [Argued, Argued, Shows, Shows, Shows],
        stepped: "orphan_lock_a_load_makes_the_lock_file_of_what_is_gone",
    },
    Bug {
        name: "prefix-retarget",
        class: Class::Resurrection,
        cells: [Shows; 5],
        stepped: "prefix_retarget_an_operation_on_what_is_gone_hits_what_begins_so",
    },
    Bug {
        name: "pause-created",
        class: Class::SubjectCrash,
        cells: [Shows; 5],
        stepped: "a_pause_of_a_created_container_dies_before_it_saves",
    },
];

/// Seeds of which one must show what shows, and none what is clean.
const SEEDS: [u64; 2] = [1, 2];

/// A stepped test proves what runs cannot: so it must be there.
pub fn stepped_tests_exist() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/subject/replica/tests");
    let text = ["bugs.rs", "semantics.rs"].map(|file| std::fs::read_to_string(folder.join(file)).unwrap());
    for bug in &BUGS {
        let wanted = format!("#[test]\nfn {}()", bug.stepped);
        assert!(text.iter().any(|text| text.contains(&wanted)), "{}: no test {}", bug.name, bug.stepped);
    }
}

/// One process alone shows what is no race, and nothing that is one.
fn alone(bug: &Bug, mut scenario: Scenario) -> Scenario {
    if bug.name == "prefix-retarget" {
        let Work::Stress(stress) = &mut scenario.work else { panic!("{} is no stress run", bug.name) };
        stress.processes = 1;
        stress.budget = Budget::Operations(2_000);
    }
    scenario
}

/// Every cell that a run can decide.
pub fn every_cell(zygote: &mut Zygote) {
    let mut wrong = Vec::new();
    for bug in BUGS.iter().filter(|bug| names().contains(&bug.name)) {
        for (replica, cell) in REPLICAS.iter().zip(bug.cells) {
            let scenario = alone(bug, on_replica(&scenario(bug.name), replica));
            let mut shown =
                || SEEDS.map(|seed| sight(zygote, &scenario, seed).first.contains_key(&bug.class));
            let is_as_said = match cell {
                Shows => shown().contains(&true),
                Clean => !shown().contains(&true),
                Stepped | Argued => continue,
            };
            println!("  {} on {replica}: {}", bug.name, if is_as_said { cell.as_str() } else { "WRONG" });
            if !is_as_said {
                wrong.push(format!("{} on {replica}: should be {cell:?}", bug.name));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// The same operations on the library break no promise.
pub fn library_is_clean(zygote: &mut Zygote) {
    for name in names() {
        let Sighting { first, words, doubts } = sight(zygote, &on_library(&scenario(name)), 1);
        println!("  {name} on the library: {} violations", words.len());
        assert!(first.is_empty(), "{name}: {words:#?}");
        assert_eq!(doubts, [""; 0], "{name}");
    }
}
