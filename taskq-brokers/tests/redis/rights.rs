//! The users of `docs/brokers.md`, as they stand there: what the document says is what is tested.

const DOCUMENT: &str = include_str!("../../../docs/brokers.md");

/// The rules of a user.
pub(crate) fn rights_of(user: &str) -> String {
    let (_, rest) = DOCUMENT.split_once(&format!("ACL SETUSER {user} on >password ")).expect("the document has it");
    rest.split_once("```").expect("a block").0.to_owned()
}
