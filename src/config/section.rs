//! [`Keys`]: the keys of one named table, such as `[schedule.weekly-report]`.

use std::collections::BTreeMap;

use taskq_core::{Error, Registration, Result};
use toml::Value;

use super::settings::{Setting, Settings};
use crate::nearest::nearest;

/// The keys of one named table.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Where the table begins, or the first key of one that has no beginning, as in the environment.
    pub(super) heading: Setting,
    pub(super) by_name: BTreeMap<String, Setting>,
}

impl Keys {
    pub(super) fn of(heading: &Setting) -> Self {
        Self { heading: heading.clone(), by_name: BTreeMap::new() }
    }

    /// Every table of a section, by its name.
    pub(super) fn all(settings: &Settings, section: &str) -> BTreeMap<String, Self> {
        let mut tables: BTreeMap<String, Self> = BTreeMap::new();
        for setting in settings.values().filter(|setting| setting.path[0] == section && setting.path.len() > 1) {
            let keys = tables.entry(setting.path[1].clone()).or_insert_with(|| Self::of(setting));
            match setting.is_heading() {
                true => keys.heading = setting.clone(),
                false => drop(keys.by_name.insert(setting.name().to_owned(), setting.clone())),
            }
        }
        tables
    }

    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.by_name.get(name)
    }

    /// The table as JSON, dates and times as their texts.
    #[cfg(feature = "health")]
    pub(super) fn json(&self) -> Result<serde_json::Value> {
        let fields = self.by_name.iter().map(|(name, setting)| Ok((name.clone(), json(setting, &setting.value)?)));
        Ok(serde_json::Value::Object(fields.collect::<Result<_>>()?))
    }

    /// The key in which a mistake is, if the mistake names one by its path; else the table itself.
    #[cfg(feature = "health")]
    pub(super) fn place_of(&self, path: &str) -> &Setting {
        let first = path.split('.').next().unwrap_or_default();
        self.get(first).unwrap_or(&self.heading)
    }
}

/// A table as JSON.
pub(super) fn json_of(table: &Setting) -> Result<serde_json::Map<String, serde_json::Value>> {
    table.table()?.iter().map(|(name, value)| Ok((name.clone(), json(table, value)?))).collect()
}

fn json(place: &Setting, value: &Value) -> Result<serde_json::Value> {
    Ok(match value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(number) => serde_json::Number::from_f64(*number)
            .ok_or_else(|| place.wrong(format!("has {number}, which JSON does not know")))?
            .into(),
        Value::Boolean(truth) => (*truth).into(),
        Value::Datetime(time) => time.to_string().into(),
        Value::Array(items) => items.iter().map(|item| json(place, item)).collect::<Result<Vec<_>>>()?.into(),
        Value::Table(table) => {
            let fields = table.iter().map(|(name, value)| Ok((name.clone(), json(place, value)?)));
            serde_json::Value::Object(fields.collect::<Result<_>>()?)
        }
    })
}

/// The task of this name in the program, if the program has any tasks at all.
///
/// A program without any, such as a scheduler of its own, cannot know.
pub(super) fn task_named<'a>(
    tasks: &'a [Registration],
    name: &str,
    refuse: impl FnOnce(String) -> Error,
) -> Result<Option<&'a Registration>> {
    if tasks.is_empty() {
        return Ok(None);
    }
    if let Some(task) = tasks.iter().find(|task| task.name == name) {
        return Ok(Some(task));
    }
    let nearest = nearest(name, tasks.iter().map(|task| task.name));
    Err(refuse(format!("\"{name}\", which this program does not have{nearest}")))
}
