//! Attacks on KMS calls: answers altered on their way, certificates, keys and images in each other's place.
//!
//! `tests/KMS-ATTACKS.md` lists them. An attack that is not in the table does not run, and a row of the table that nothing
//! runs fails `table.rs`.

mod answers;
// the writer of messages that the client's own tests use
#[path = "../../../enclave/kms/tests/support/cms.rs"]
mod cms;
mod faults;
mod keys;
mod table;
mod tls;

use packproof_tests::{
    cheat::{Exchange, GOOD, cheat},
    wire::{ANSWER, ERROR, ask},
    world::World,
};
use packproof_wire::{PackRequest, Request};
use serde_json::Value;

/// Sends a request that must be refused as the table says; what the enclave said.
#[track_caller]
fn refuses(world: &World, attack: &str, request: PackRequest, code: &str) -> Value {
    assert_eq!(table::code_of(attack), code, "{attack}: the table says otherwise");
    let (kind, said) = ask(&world.socket(), &Request::Pack(request));
    assert_eq!(kind, ERROR, "{attack}: it was packed");
    assert_eq!(said["code"], code, "{attack}: {said}");
    assert!(said["message"].as_str().unwrap().len() > 10);
    said
}

/// Sends a request that must be packed: what is refused is refused for what was changed.
#[track_caller]
fn packs(world: &World, what: &str, request: PackRequest) {
    let (kind, said) = ask(&world.socket(), &Request::Pack(request));
    assert_eq!(kind, ANSWER, "{what}: {said}");
}

/// An endpoint that the enclave must trust alters answers; the pack that they are for is refused.
#[track_caller]
fn altered(
    world: &World,
    attack: &str,
    environment: &str,
    alter: impl Fn(&mut Exchange) + Send + Sync + 'static,
    code: &str,
) -> Value {
    let requests = cheat(world, GOOD, alter);
    let said = refuses(world, attack, world.request(environment), code);
    assert!(*requests.lock().unwrap() > 0, "{attack}: nothing was asked");
    said
}
