//! [`Rule`]: of which checks an alert tells, and when.

use std::{collections::BTreeMap, time::Duration};

use taskq_core::{Timestamp, limits};

use super::{memory::Memory, notice::NoticeKind};
use crate::health::Health;

/// Of which checks an alert tells, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names of checks; a `*` stands for anything. None means all.
    pub checks: Vec<String>,
    /// Labels that a check has to have, all of them.
    pub labels: BTreeMap<String, String>,
    /// What is trouble.
    pub on: Vec<Health>,
    /// Whether its end is told.
    pub recovery: bool,
    /// How often it is told again while it lasts.
    pub repeat: Option<Duration>,
    /// More changes than this within the window are flapping.
    pub flaps: u32,
    /// How far back changes count, and how long a target has to stay as it is until it flaps no more.
    pub flap_window: Duration,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            checks: Vec::new(),
            labels: BTreeMap::new(),
            on: vec![Health::Unhealthy],
            recovery: true,
            repeat: None,
            flaps: limits::DEFAULT_ALERT_FLAPS,
            flap_window: limits::DEFAULT_ALERT_FLAP_WINDOW,
        }
    }
}

impl Rule {
    /// Whether it is about this check.
    pub fn is_about(&self, check: &str, labels: &BTreeMap<String, String>) -> bool {
        let is_named = self.checks.is_empty() || self.checks.iter().any(|pattern| fits(pattern, check));
        is_named && self.labels.iter().all(|(name, value)| labels.get(name) == Some(value))
    }

    /// What is to be told after a look at `now` that left the target like this.
    pub fn decide(&self, memory: &mut Memory, health: Health, now: Timestamp) -> Option<NoticeKind> {
        let trouble = Some(health).filter(|health| self.on.contains(health));
        let is_trouble = trouble.is_some();
        self.note_turn(memory, trouble, now);
        let kind = self.kind(memory, health, is_trouble, now);
        if kind.is_some() {
            memory.told_at = Some(now);
        }
        match kind {
            Some(NoticeKind::Recovered) => memory.told = None,
            Some(NoticeKind::Began | NoticeKind::Flapping) => memory.told = Some(health),
            Some(NoticeKind::Lasts) | None => {}
        }
        // Its end is not to be told, and is known all the same.
        if !is_trouble && !memory.is_flapping {
            memory.told = None;
        }
        kind.filter(|kind| *kind != NoticeKind::Recovered || self.recovery)
    }

    fn note_turn(&self, memory: &mut Memory, trouble: Option<Health>, now: Timestamp) {
        if trouble != memory.trouble {
            memory.trouble = trouble;
            memory.turns.push_back(now);
        }
        while memory.turns.front().is_some_and(|turn| now.since(*turn) > self.flap_window) {
            memory.turns.pop_front();
        }
        // More than this decide nothing.
        let surplus = memory.turns.len().saturating_sub(self.flaps as usize + 1);
        drop(memory.turns.drain(..surplus));
    }

    fn kind(&self, memory: &mut Memory, health: Health, is_trouble: bool, now: Timestamp) -> Option<NoticeKind> {
        if memory.is_flapping {
            if !memory.turns.is_empty() {
                return None;
            }
            memory.is_flapping = false;
            return Some(if is_trouble { NoticeKind::Began } else { NoticeKind::Recovered });
        }
        if memory.turns.len() > self.flaps as usize {
            memory.is_flapping = true;
            return Some(NoticeKind::Flapping);
        }
        let is_due = |repeat: Duration| memory.told_at.is_none_or(|told_at| now.since(told_at) >= repeat);
        match (memory.told, is_trouble) {
            (None, true) => Some(NoticeKind::Began),
            (Some(told), true) if told != health => Some(NoticeKind::Began),
            (Some(_), true) => self.repeat.filter(|repeat| is_due(*repeat)).map(|_| NoticeKind::Lasts),
            (Some(_), false) => Some(NoticeKind::Recovered),
            (None, false) => None,
        }
    }
}

/// Whether a name fits a pattern in which each `*` stands for any text.
fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(start) else { return false };
    let parts: Vec<_> = rest.split('*').collect();
    let (end, middle) = parts.split_last().expect("a split has at least one part");
    for part in middle {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    left.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a target that is looked at once a minute, as `minute kind`.
    fn told(rule: &Rule, states: &str) -> Vec<String> {
        let mut memory = Memory::default();
        let mut told = Vec::new();
        for (minute, state) in (0_i64..).zip(states.chars()) {
            let health = match state {
                'H' => Health::Healthy,
                'D' => Health::Degraded,
                _ => Health::Unhealthy,
            };
            let now = Timestamp::from_millis(minute * 60_000);
            if let Some(kind) = rule.decide(&mut memory, health, now) {
                told.push(format!("{minute} {kind:?}"));
            }
        }
        told
    }

    #[test]
    fn trouble_is_told_once_and_its_end_once() {
        assert_eq!(told(&Rule::default(), "HHUUUHH"), ["2 Began", "5 Recovered"]);
        assert_eq!(told(&Rule::default(), "HDDH"), [] as [&str; 0]);
        let silent = Rule { recovery: false, ..Rule::default() };
        assert_eq!(told(&silent, "HUUHHU"), ["1 Began", "5 Began"]);
    }

    #[test]
    fn a_warning_is_trouble_for_who_asks_for_it_and_worse_is_told_too() {
        let rule = Rule { on: vec![Health::Degraded, Health::Unhealthy], ..Rule::default() };
        assert_eq!(told(&rule, "HDDUUH"), ["1 Began", "3 Began", "5 Recovered"]);
    }

    #[test]
    fn what_lasts_is_told_again() {
        let rule = Rule { repeat: Some(Duration::from_secs(180)), ..Rule::default() };
        assert_eq!(told(&rule, "UUUUUUUUH"), ["0 Began", "3 Lasts", "6 Lasts", "8 Recovered"]);
    }

    #[test]
    fn what_comes_and_goes_is_told_once_until_it_stays() {
        let rule = Rule { flaps: 3, flap_window: Duration::from_secs(300), ..Rule::default() };
        let calm_and_well = told(&rule, "HUHUHUHHHHHHHH");
        assert_eq!(calm_and_well, ["1 Began", "2 Recovered", "3 Began", "4 Flapping", "12 Recovered"]);
        let calm_and_ill = told(&rule, "HUHUHUUUUUUUUU");
        assert_eq!(calm_and_ill, ["1 Began", "2 Recovered", "3 Began", "4 Flapping", "11 Began"]);
    }

    #[test]
    fn what_swings_between_bad_and_worse_flaps_too() {
        let on = vec![Health::Degraded, Health::Unhealthy];
        let rule = Rule { on, flaps: 3, flap_window: Duration::from_secs(300), ..Rule::default() };
        assert_eq!(told(&rule, "HDUDUDUDU"), ["1 Began", "2 Began", "3 Began", "4 Flapping"]);
    }

    #[test]
    fn checks_are_chosen_by_name_and_label() {
        let labels: BTreeMap<_, _> = [("team".to_owned(), "web".to_owned())].into();
        let about = |checks: &[&str], wanted: &[(&str, &str)]| {
            let checks = checks.iter().map(|check| (*check).to_owned()).collect();
            let wanted = wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Rule { checks, labels: wanted, ..Rule::default() }.is_about("db-primary", &labels)
        };
        assert!(about(&[], &[]) && about(&["db-*"], &[]) && about(&["x", "*prim*"], &[("team", "web")]));
        assert!(about(&["db-primary"], &[]) && about(&["*"], &[]) && about(&["d*b*y"], &[]));
        assert!(!about(&["db"], &[]) && !about(&["db-*x"], &[]) && !about(&["*"], &[("team", "ops")]));
        assert!(!about(&[], &[("tier", "1")]) && !about(&["db-primary-*"], &[]));
    }
}
