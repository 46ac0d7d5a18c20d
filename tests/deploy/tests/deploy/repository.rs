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

/// Every YAML file below a folder.
pub(crate) fn yaml_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path(folder)).expect("the folder exists") {
        let entry = entry.expect("readable");
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => found.extend(yaml_files(&name)),
            false if name.ends_with(".yaml") || name.ends_with(".yml") => found.push(name),
            false => {}
        }
    }
    found.sort();
    found
}

/// The words of a list.
pub(crate) fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|word| word.as_str().unwrap_or_else(|| panic!("no text: {word}")).to_owned()).collect()
}
