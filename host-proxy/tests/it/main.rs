//! The command against real git repositories and a fake enclave that speaks the real protocol.

#[cfg(test)]
mod clones;
#[cfg(test)]
mod enclave;
#[cfg(test)]
mod instance;
#[cfg(test)]
mod kms_corpus;
#[cfg(test)]
mod kms_fixture;
#[cfg(test)]
mod kms_generate;
#[cfg(test)]
mod objects;
#[cfg(test)]
mod others;
#[cfg(test)]
mod policy_init;
#[cfg(test)]
mod policy_words;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod repository;
