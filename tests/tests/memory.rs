//! Nothing unsealed survives a request: after a pack, no value is left in the enclave's memory.
//!
//! A reviewer's scan once found 64 KiB of plaintext in the heap, in a buffer that a library had freed. The programs wipe
//! whatever is freed since then; without that allocator this test goes red.

use std::{
    fs,
    io::{Read, Seek, SeekFrom},
    path::Path,
    process::Command,
};

use packproof_tests::{demo, peers::peer, process::Outcome, repo::Commit, world::World};

/// Together far more than one 64 KiB chunk of age's.
const VALUES: usize = 300;

#[test]
fn no_value_is_left_in_memory_after_a_pack() {
    let Some(sops) = peer("PACKPROOF_SOPS") else { return };
    let world = World::start();
    let plain = world.path("plain.yaml");
    let value = |index: usize| format!("mEmOrY-{index:04}-{}", "x".repeat(1000));
    let yaml: String = (0..VALUES).map(|index| format!("K{index}: {}\n", value(index))).collect();
    fs::write(&plain, yaml).unwrap();
    let mut encrypt: Command = world.plain_command(&sops);
    encrypt.args(["encrypt", "--age", &demo::sealed_recipient()]).arg(&plain);
    let cell = Outcome::of(&mut encrypt).ok().stdout;
    world.repo.write("secrets/stripe/dev.enc.yaml", &cell);
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
    let _ = world.packed(&world.pack("dev"));

    let memory = memory_of(enclave(world.socket().parent().unwrap()));
    assert!(memory.len() > 1 << 20, "the scan reads the enclave's memory");
    assert_eq!(values_in(&memory), 0, "values of {VALUES} that are still in the enclave's memory");
}

/// The enclave process of a state directory.
fn enclave(state: &Path) -> u32 {
    let state = fs::canonicalize(state).unwrap();
    let ours = |pid: &u32| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> =
            words.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        words.get(1).is_some_and(|word| word == "enclave") && words.iter().any(|word| Path::new(word) == state)
    };
    let pids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.into_iter().find(ours).expect("the enclave runs")
}

/// All writable private memory. The process forbids tracing, so reading it takes root, as the gate is.
fn memory_of(pid: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps"))
        .expect("this test reads another process's memory: run it as root");
    let mut file = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut memory = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw-p ") && !line.contains("[v")) {
        let (start, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        file.seek(SeekFrom::Start(start)).unwrap();
        let mut region = vec![0; usize::try_from(end - start).unwrap()];
        if file.read_exact(&mut region).is_ok() {
            memory.append(&mut region);
        }
    }
    memory
}

/// How many different values begin somewhere in `memory`.
fn values_in(memory: &[u8]) -> usize {
    const MARK: &[u8] = b"mEmOrY-";
    let mut found = std::collections::BTreeSet::new();
    let mut rest = memory;
    // one pass: debug builds take a minute for anything finer
    while let Some(at) = rest.iter().position(|byte| *byte == b'm') {
        rest = &rest[at..];
        if rest.starts_with(MARK) && rest.get(11..13) == Some(b"-x") {
            found.insert(&rest[7..11]);
        }
        rest = &rest[1..];
    }
    found.len()
}
