//! Clef's formats: what a pack reads (the manifest) and what it makes (the artifact).
//!
//! | module | holds |
//! | --- | --- |
//! | [`manifest`] | `clef.yaml`: schema, validation order, YAML 1.2 core typing |
//! | [`matrix`] | which file is the cell of a namespace and an environment |
//! | [`schema`] | which keys a namespace's cells must have, and of which type |
//! | [`sidecar`] | which values of a cell are placeholders still |
//! | [`value`] | how a cell's value becomes a string, and which keys may be used |
//! | [`plaintext`] | the JSON inside an artifact |
//! | [`seal`] | age and AES-256-GCM over that JSON, and the way back |
//! | [`envelope`] | the artifact's own JSON, its revision, and the payload that is signed |
//!
//! Where Clef is silent, lossy or ambiguous this crate refuses; where Clef accepts something that only one reader
//! understands so (tags, `<<`), it refuses too. Each such place says so, and `CLEF.md` beside this crate has a row for
//! each rule of Clef with the tests that hold it. Everything here is a pure function of its arguments, except that
//! [`seal::seal_age`] draws from the system's randomness inside the `age` crate.
#![forbid(unsafe_code)]

mod core_schema;
pub mod envelope;
mod json;
pub mod manifest;
pub mod matrix;
mod number;
pub mod plaintext;
pub mod schema;
pub mod seal;
pub mod sidecar;
pub mod value;

/// At most 60 characters of a text that the host chose, made printable.
pub(crate) fn preview(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_default).collect();
    if text.chars().nth(60).is_some() {
        shown.push_str("...");
    }
    shown
}
