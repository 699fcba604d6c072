//! Programs of others. `tests/run --all` brings them and requires them; a quick run has none.

use std::{env, path::PathBuf};

/// The program that the variable `name` names, or `None` after saying that it is not there. Tests then end.
///
/// # Panics
/// When it is not there under `PACKPROOF_REQUIRE_PEERS=1`: the run that promises a peer does not do without.
pub fn peer(name: &str) -> Option<PathBuf> {
    let found = env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    if found.is_none() {
        let required = env::var_os("PACKPROOF_REQUIRE_PEERS").is_some_and(|value| value == "1");
        assert!(!required, "peer not given: set {name} to the program, tests/run --all does");
        println!("peer not given: {name} is not set; this part was not run");
    }
    found
}

/// A script of `tests/checks`.
pub fn check(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("checks").join(name)
}
