//! What `#[task]` accepts and what it refuses, with the words of every refusal.
//!
//! After a change of words: `TRYBUILD=overwrite cargo test --test ui`, then read every `.stderr` that changed.

#[test]
fn what_is_accepted_compiles_and_what_is_refused_is_told_in_a_sentence() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/pass/*.rs");
    cases.compile_fail("tests/ui/fail/*.rs");
}
