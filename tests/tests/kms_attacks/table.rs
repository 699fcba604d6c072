//! `tests/KMS-ATTACKS.md`, and that it is true.

use packproof_tests::table::Table;

const TABLE: Table = Table { path: "tests/KMS-ATTACKS.md", text: include_str!("../../KMS-ATTACKS.md") };

/// The code that an attack gets.
#[track_caller]
pub(crate) fn code_of(attack: &str) -> &'static str {
    TABLE.code_of(attack)
}

/// Every row is one attack, in a test that is there and that expects this code.
#[test]
fn every_row_has_its_test() {
    TABLE.check(25);
}
