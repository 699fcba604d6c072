//! Measures packs beside the peer that does the same work, from one run: `tests/bench` builds and starts it.
//!
//! Every line prints our figure, the figure it is held against, the ratio, and what was run. Nothing here asserts a time:
//! a machine under load is slow, not wrong.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on says so by ending")]

use std::{
    env,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use packproof_tests::{
    demo::{self, IDENTITY},
    process::Outcome,
    programs::program,
    repo::Commit,
    world::{Pack, World},
};

/// Cells of the case that the targets name.
const CELLS: usize = 50;
/// Keys in each cell.
const KEYS: usize = 40;

fn main() {
    let sops = PathBuf::from(env::var_os("PACKPROOF_SOPS").expect("PACKPROOF_SOPS names sops: run tests/bench"));
    let age_keygen = env::var_os("PACKPROOF_AGE")
        .map_or_else(|| "age-keygen".into(), |age| PathBuf::from(age).with_file_name("age-keygen"));
    let runs: usize = env::var("PACKPROOF_BENCH_RUNS").map_or(7, |text| text.parse().unwrap());
    println!("machine: {}; {} of each, the median counts", machine(), runs);

    let mut world = World::start();
    let key = developer_key(&world, &age_keygen);
    age_cells(&mut world, &sops, &key, runs);
    kms_cells(&mut world, &sops, runs);
    sizes();
}

/// Pack of age cells beside as many `sops decrypt` processes on the same files.
fn age_cells(world: &mut World, sops: &Path, key: &Path, runs: usize) {
    let recipient = public_key(key);
    let recipients = format!("{recipient},{}", demo::sealed_recipient());
    let files = fill(world, "dev", |world, plain, sealed| {
        let mut encrypt = world.plain_command(sops);
        encrypt.args(["encrypt", "--age", &recipients]).arg(plain);
        fs::write(sealed, Outcome::of(&mut encrypt).ok().stdout).unwrap();
    });
    start(world, &[]);

    let pack = world.pack("dev");
    let ours = median(runs, || timed_pack(world, &pack));
    let peer = median(runs, || {
        elapsed(|| {
            for file in &files {
                quiet(world.plain_command(sops).arg("decrypt").arg(file).env("SOPS_AGE_KEY_FILE", key));
            }
        })
    });
    line(
        &format!("pack of {CELLS} age cells x {KEYS} keys"),
        ours,
        &format!("{CELLS} sops decrypt processes"),
        peer,
        "at least 15 times faster",
    );
    let verify = world.verify(&world.packed(&pack));
    let verified = median(runs, || elapsed(|| drop(world.run_verify(&verify, true).ok())));
    println!("verification of that receipt, command start to end: {}", ms(verified));
    println!(
        "receipt of that pack: {} bytes; enclave at its largest: {} KiB resident",
        size(&verify.receipt),
        resident(world)
    );
}

/// Pack of KMS cells, with and without a KMS that is far away: the difference is round trips.
fn kms_cells(world: &mut World, sops: &Path, runs: usize) {
    let arn = demo::arn("cells-production");
    let report = world.report();
    let (url, ca) = (report["kms_url"].as_str().unwrap().to_owned(), report["kms_ca"].as_str().unwrap().to_owned());
    fill(world, "production", |world, plain, sealed| {
        let mut encrypt = world.plain_command(sops);
        encrypt.args(["encrypt", "--kms", &arn]).arg(plain);
        encrypt.env("AWS_ENDPOINT_URL_KMS", &url).env("AWS_CA_BUNDLE", &ca).env("AWS_EC2_METADATA_DISABLED", "true");
        world.credentials(&mut encrypt, "author");
        fs::write(sealed, Outcome::of(&mut encrypt).ok().stdout).unwrap();
    });
    start(world, &[]);
    let pack = world.pack("production");
    let far = Duration::from_millis(20);
    let near = median(runs, || timed_pack(world, &pack));
    world.faults(Some(r#"{"latency_ms": 20}"#));
    let with_latency = median(runs, || timed_pack(world, &pack));
    world.faults(None);
    let trips = with_latency.saturating_sub(near).as_secs_f64() / far.as_secs_f64();
    println!(
        "pack of {CELLS} KMS cells x {KEYS} keys: {} with a KMS that answers at once, {} with 20 ms latency: {trips:.1} round trips (target: at most 3)",
        ms(near),
        ms(with_latency)
    );
    let flags = ["--nsm-latency-ms", "90"];
    start(world, &flags);
    world.faults(Some(r#"{"latency_ms": 20}"#));
    let slow = median(runs, || timed_pack(world, &pack));
    world.faults(None);
    println!("the same with 20 ms KMS and 90 ms NSM latency: {}", ms(slow));
}

/// Namespaces `n00` … with cells of one environment, made by real sops, and a manifest and policy that have them.
fn fill(world: &mut World, environment: &str, seal: impl Fn(&World, &Path, &Path)) -> Vec<PathBuf> {
    let names: Vec<String> = (0..CELLS).map(|index| format!("n{index:02}")).collect();
    let declared: String = names.iter().map(|name| format!("  - {{ name: {name}, description: d }}\n")).collect();
    let manifest = world.repo.read("clef.yaml");
    if !manifest.contains("name: n00,") {
        let (head, rest) = manifest.split_once("namespaces:\n").unwrap();
        let (_, tail) = rest.split_once("\nsops:").unwrap();
        let text = format!("{head}namespaces:\n{declared}\nsops:{tail}");
        world.repo.write("clef.yaml", &text.replace("[stripe, rds-orders]", &format!("[{}]", names.join(", "))));
        let listed: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        let policy = fs::read_to_string(world.policy()).unwrap();
        let policy = policy.replace(r#"["stripe", "rds-orders"]"#, &format!("[{}]", listed.join(", ")));
        fs::write(world.policy(), policy).unwrap();
    }
    let plain = world.path("plain.yaml");
    let mut files = Vec::new();
    for name in &names {
        let lines: String =
            (0..KEYS).map(|key| format!("KEY_{key:02}: value-{name}-{key:02}-{}\n", "x".repeat(24))).collect();
        fs::write(&plain, lines).unwrap();
        let file = world.repo.dir.join(format!("secrets/{name}/{environment}.enc.yaml"));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        seal(world, &plain, &file);
        files.push(file);
    }
    world.repo.commit(Commit { key: Some(&world.path("release")), date: None });
    files
}

fn start(world: &mut World, flags: &[&str]) {
    let policy = world.policy();
    world.up(&policy, &[&["--pin"], flags].concat());
}

/// From the command's start to both files written; the enclave is up.
fn timed_pack(world: &World, pack: &Pack) -> Duration {
    let out = world.path("bench-artifact.json");
    let mut command = world.command("packproof");
    command.args(["pack", IDENTITY, &pack.environment, "-o"]).arg(&out).arg("--dir").arg(&pack.dir);
    command.arg("--signer").arg(&pack.signer).args(["--enclave", &pack.enclave]);
    command.args(pack.age_key.iter().flat_map(|file| ["--age-key".as_ref(), file.as_os_str()]));
    world.credentials(&mut command, pack.role);
    elapsed(|| quiet(&mut command))
}

fn elapsed(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn median(runs: usize, mut measure: impl FnMut() -> Duration) -> Duration {
    // the first warms caches on both sides alike
    let _ = measure();
    let mut times: Vec<Duration> = (0..runs).map(|_| measure()).collect();
    times.sort();
    times[times.len() / 2]
}

fn line(what: &str, ours: Duration, peer: &str, theirs: Duration, target: &str) {
    let ratio = theirs.as_secs_f64() / ours.as_secs_f64();
    println!("{what}: {}; {peer}: {}; {ratio:.1} times faster (target: {target})", ms(ours), ms(theirs));
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn quiet(command: &mut Command) {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

/// A developer's age key, which sops decrypts with.
fn developer_key(world: &World, age_keygen: &Path) -> PathBuf {
    let made = Outcome::of(&mut world.plain_command(age_keygen)).ok();
    let path = world.path("developer.age.txt");
    File::create(&path).unwrap().write_all(made.stdout.as_bytes()).unwrap();
    path
}

fn public_key(key: &Path) -> String {
    let text = fs::read_to_string(key).unwrap();
    text.lines().find_map(|line| line.strip_prefix("# public key: ")).unwrap().to_owned()
}

/// The largest resident size so far of the enclave process that serves this world.
fn resident(world: &World) -> String {
    let state = fs::canonicalize(world.path("state")).unwrap();
    let of = |pid: &str| {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<_> = words.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let is_ours =
            words.get(1).is_some_and(|word| word == "enclave") && words.iter().any(|word| Path::new(word) == state);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:").map(|rest| rest.trim().trim_end_matches(" kB").to_owned()));
        peak.filter(|_| is_ours)
    };
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| of(entry.unwrap().file_name().to_str()?))
        .next()
        .unwrap_or_else(|| "?".to_owned())
}

fn sizes() {
    for name in ["packproof", "packproof-verify", "packproof-local"] {
        println!("{name}: {} bytes", size(&program(name)));
    }
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).unwrap().len()
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores", model.trim_start_matches([' ', '\t', ':']))
}
