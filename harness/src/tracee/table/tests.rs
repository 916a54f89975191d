//! That the table knows every system call, and what it does with each.

use std::collections::HashMap;

use super::*;

/// The numbers that `x86_64` never gave to a call.
const GAP_X86_64: std::ops::RangeInclusive<u16> = 337..=423;
/// The numbers that `aarch64` never gave to a call.
const GAPS_AARCH64: [std::ops::RangeInclusive<u16>; 2] = [244..=259, 295..=423];
/// The newest call that is told here: `file_setattr`, of Linux 6.17.
const NEWEST: u16 = 469;

#[test]
fn every_number_is_classified() {
    for number in 0..=NEWEST {
        let count =
            |of: fn(&Call) -> Option<u16>| TABLE.iter().filter(|call| of(call) == Some(number)).count();
        assert_eq!(count(|call| call.x86_64), usize::from(!GAP_X86_64.contains(&number)), "x86_64: {number}");
        let is_gap = GAPS_AARCH64.iter().any(|gap| gap.contains(&number));
        assert_eq!(count(|call| call.aarch64), usize::from(!is_gap), "aarch64: {number}");
    }
    assert!(TABLE.iter().all(|call| call.x86_64.max(call.aarch64) <= Some(NEWEST)));
}

/// The kernel's own headers, where they are installed: a call that they have and this table has not is found out.
#[test]
fn the_headers_have_no_call_that_is_not_classified() {
    let header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
    let Ok(text) = std::fs::read_to_string(header) else {
        assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{header} is missing");
        eprintln!("skipped: {header} is not installed");
        return;
    };
    let known: HashMap<&str, u16> = TABLE.iter().filter_map(|call| Some((call.name, call.x86_64?))).collect();
    let mut seen = 0;
    for line in text.lines() {
        let mut words = line.strip_prefix("#define __NR_").into_iter().flat_map(str::split_whitespace);
        let (Some(name), Some(number)) = (words.next(), words.next().and_then(|word| word.parse().ok()))
        else {
            continue;
        };
        seen += 1;
        assert_eq!(known.get(name), Some(&number), "{name} is {number} there");
    }
    assert!(seen > 300, "{header} tells of {seen} calls");
}

#[test]
fn names_and_numbers_are_those_of_libc() {
    for (name, number) in [
        ("openat", libc::SYS_openat),
        ("renameat2", libc::SYS_renameat2),
        ("flock", libc::SYS_flock),
        ("clone3", libc::SYS_clone3),
        ("io_uring_setup", libc::SYS_io_uring_setup),
        ("mseal", libc::SYS_mseal),
        ("sync_file_range", libc::SYS_sync_file_range),
        ("exit_group", libc::SYS_exit_group),
    ] {
        assert_eq!(of(number).map(|call| call.name), Some(name));
    }
    assert!(of(400).is_none() && of(100_000).is_none());
}
