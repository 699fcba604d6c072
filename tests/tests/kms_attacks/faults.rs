//! A KMS that fails, by the local KMS's own faults.

use packproof_tests::world::World;

use super::{packs, refuses};

#[test]
fn a_kms_that_fails() {
    let world = World::start();
    for (attack, faults, code) in [
        ("throttling without end", "{\"throttle_next\":1000}", "kms_unavailable"),
        ("internal errors without end", "{\"fail_next\":1000}", "kms_unavailable"),
        ("a load balancer's 503 without end", "{\"unavailable_next\":1000}", "kms_unavailable"),
        ("connections that drop without end", "{\"drop_next\":1000}", "kms_unreachable"),
        ("an answer that never comes", "{\"latency_ms\":600000}", "kms_timed_out"),
    ] {
        world.faults(Some(faults));
        let said = refuses(&world, attack, world.request("dev"), code);
        assert_eq!(said["class"], "environment", "{attack}: trying again may help");
        assert!(said["message"].as_str().unwrap().contains("3 attempts"), "{attack}: {said}");
        world.faults(None);
    }
    packs(&world, "a KMS that works again", world.request("dev"));
}

#[test]
fn ciphertexts_that_the_local_kms_damages() {
    let world = World::start();
    for environment in ["dev", "production"] {
        packs(&world, "before", world.request(environment));
        for (attack, faults, code) in [
            ("a plaintext in the ciphertext's place", "{\"answer_with_plaintext\":true}", "plaintext_in_answer"),
            ("a CMS message cut off", "{\"cut_recipient_bytes\":1}", "recipient_ciphertext_refused"),
            ("a CMS message with another tag", "{\"flip_recipient_byte\":0}", "recipient_ciphertext_refused"),
            (
                "a CMS message with a changed wrapped key",
                "{\"flip_recipient_byte\":200}",
                "recipient_ciphertext_refused",
            ),
        ] {
            world.faults(Some(faults));
            let said = refuses(&world, attack, world.request(environment), code);
            assert_eq!(said["class"], "refused", "{attack}");
            world.faults(None);
        }
        packs(&world, "after", world.request(environment));
    }
    // what was answered last, to the pack before: sealed for an RSA key that is gone
    world.faults(Some("{\"answer_stale\":true}"));
    for environment in ["dev", "production"] {
        let request = world.request(environment);
        let (kind, said) = packproof_tests::wire::ask(&world.socket(), &packproof_wire::Request::Pack(request));
        assert_eq!(kind, packproof_tests::wire::ERROR);
        assert!(["wrong_key", "recipient_ciphertext_refused"].contains(&said["code"].as_str().unwrap()), "{said}");
    }
    world.faults(None);
}
