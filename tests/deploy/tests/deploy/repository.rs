//! What is looked at: the files of this repository, as text and as YAML.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// The path of a file of this repository.
pub(crate) fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

/// The text of a file.
pub(crate) fn read(file: &str) -> String {
    std::fs::read_to_string(path(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The documents of a YAML file, with what `<<` brings.
pub(crate) fn documents(file: &str) -> Vec<Value> {
    let text = read(file);
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(|document| {
        let mut value = serde_yaml_ng::Value::deserialize(document).unwrap_or_else(|error| panic!("{file}: {error}"));
        value.apply_merge().unwrap_or_else(|error| panic!("{file}: {error}"));
        serde_json::to_value(value).unwrap_or_else(|error| panic!("{file}: {error}"))
    });
    documents.collect()
}

/// The only document of a YAML file.
pub(crate) fn document(file: &str) -> Value {
    let [document] = <[Value; 1]>::try_from(documents(file)).unwrap_or_else(|all| panic!("{file} has {}", all.len()));
    document
}
