//! Attacks on objects, signatures, policy and approvals, from a host that speaks the protocol byte by byte.
//!
//! `tests/ATTACKS.md` lists them. An attack that is not in the table does not run, and a row of the table that nothing
//! runs fails `table.rs`.

mod approvals;
mod objects;
mod policy;
mod signatures;
mod table;

use packproof_tests::{
    people::{Person, introduce},
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
    said
}

/// Sends a request that must be packed: what was refused before was refused for what it changed.
#[track_caller]
fn packs(world: &World, what: &str, request: PackRequest) {
    let (kind, said) = ask(&world.socket(), &Request::Pack(request));
    assert_eq!(kind, ANSWER, "{what}: {said}");
}

/// Seconds of the windows of `retired` and `joined`, before now.
const HALF_AN_HOUR: i64 = 1800;

/// A world with all kinds of signers in both environments; dev asks for two approvals.
fn world() -> World {
    let mut world = World::start();
    let turn = packproof_tests::forge::utc(&world, -HALF_AN_HOUR).replace(".000Z", "Z");
    let windowed = |name, principal, bound: &str| Person { name, principal, more: format!("{bound} = \"{turn}\"\n") };
    let people = [
        Person::plain("alice", "alice@acme.example"),
        Person::plain("alice-office", "alice@acme.example"),
        Person::plain("bob", "bob@acme.example"),
        Person::plain("carol", "carol@acme.example"),
        Person::authority("staff", "*@staff.acme.example,release@packproof.example"),
        windowed("retired", "retired@acme.example", "valid_before"),
        windowed("joined", "joined@acme.example", "valid_after"),
    ];
    let signers = "signers = [\"release\", \"staff\", \"retired\", \"joined\"]";
    let from = "[\"alice\", \"alice-office\", \"bob\", \"staff\", \"release\", \"retired\"]";
    let dev = format!("{signers}\napprovals = {{ threshold = 2, from = {from} }}");
    introduce(&mut world, &people, [("dev", &dev), ("production", signers)]);
    world
}
