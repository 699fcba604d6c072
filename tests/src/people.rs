//! People beside the release key: approvers, and staff with certificates.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{process::Outcome, repo::ssh_key, world::World};

/// One `[[source.signer]]`, whose key lies in `NAME` of the world's folder.
pub struct Person {
    /// Name of the entry, and of the key's file.
    pub name: &'static str,
    /// Its principal, or an authority's patterns.
    pub principal: &'static str,
    /// More lines of the entry.
    pub more: String,
}

impl Person {
    /// A person by a plain key.
    pub fn plain(name: &'static str, principal: &'static str) -> Self {
        Self { name, principal, more: String::new() }
    }

    /// A certificate authority.
    pub fn authority(name: &'static str, patterns: &'static str) -> Self {
        Self { name, principal: patterns, more: "cert_authority = true\n".to_owned() }
    }
}

/// Makes a key for everybody and a policy that knows them all, and starts local mode under it.
///
/// `rules` of each environment stand in the place of its line `signers = ["release"]`.
pub fn introduce(world: &mut World, people: &[Person], rules: [(&str, &str); 2]) {
    let mut entries = String::new();
    for Person { name, principal, more } in people {
        ssh_key(&world.path(name));
        let key = fs::read_to_string(world.path(&format!("{name}.pub"))).unwrap();
        let ssh = key.trim_end();
        entries +=
            &format!("[[source.signer]]\nname = \"{name}\"\nprincipal = \"{principal}\"\nssh = \"{ssh}\"\n{more}\n");
    }
    let mut text = fs::read_to_string(world.policy()).unwrap().replacen("[kms]", &format!("{entries}[kms]"), 1);
    for (environment, rule) in rules {
        let (head, tail) = text.split_once(&format!("environment = \"{environment}\"")).unwrap();
        assert!(tail.contains("signers = [\"release\"]"), "{environment} has no signers to replace");
        let tail = tail.replacen("signers = [\"release\"]", rule, 1);
        text = format!("{head}environment = \"{environment}\"{tail}");
    }
    let policy = world.policy();
    fs::write(&policy, text).unwrap();
    world.up(&policy, &["--pin"]);
}

/// A new key with a certificate by `authority`; `more` are flags of `ssh-keygen`. Returns the certificate, beside which
/// the key lies.
pub fn certified(world: &World, name: &str, authority: &str, principals: &str, more: &[&str]) -> PathBuf {
    ssh_key(&world.path(name));
    certify(world, name, name, authority, principals, more)
}

/// Another certificate for the key `key`, in files of another name.
pub fn certify(world: &World, key: &str, name: &str, authority: &str, principals: &str, more: &[&str]) -> PathBuf {
    if key != name {
        fs::copy(world.path(key), world.path(name)).unwrap();
        fs::copy(world.path(&format!("{key}.pub")), world.path(&format!("{name}.pub"))).unwrap();
    }
    let mut keygen = world.plain_command(Path::new("ssh-keygen"));
    keygen.arg("-q").arg("-s").arg(world.path(authority)).args(["-I", &format!("{name}-laptop"), "-n", principals]);
    // the last -V counts
    keygen.args(["-V", "-1h:+1h"]).args(more).arg(world.path(&format!("{name}.pub")));
    let _ = Outcome::of(&mut keygen).ok();
    world.path(&format!("{name}-cert.pub"))
}
