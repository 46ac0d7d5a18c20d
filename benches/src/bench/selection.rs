//! Which of all measurements are made, and which are left out and why.

use bench_driver::Outcome;

use crate::{
    catalogue::{Group, Place, Weight, groups},
    options::Options,
};

/// What is measured in this run.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) groups: Vec<Group>,
    /// Metrics that `--quick` leaves out.
    left_out: Vec<String>,
}

impl Selection {
    /// What the options ask for. A name that no metric has is refused, with the names that there are.
    pub(crate) fn of(options: &Options) -> Outcome<Self> {
        let all = groups();
        check_names(&all, &options.only)?;
        let wanted = |group: &Group| {
            options.wants(group.place.engine())
                && (options.aof || !is_append_only(group.place))
                && (options.only.is_empty() || names(group).any(|name| is_asked_for(&name, &options.only)))
        };
        let mut selection = Self { groups: Vec::new(), left_out: Vec::new() };
        for mut group in all.into_iter().filter(wanted) {
            if options.quick {
                selection.leave_out_heavy(&mut group);
            }
            if !group.rows.is_empty() {
                selection.groups.push(group);
            }
        }
        match selection.groups.is_empty() {
            true => Err("nothing is left to measure: --only names metrics that the other options leave out".into()),
            false => Ok(selection),
        }
    }

    fn leave_out_heavy(&mut self, group: &mut Group) {
        let place = group.place;
        group.rows.retain(|row| {
            let light = row.weight == Weight::Light;
            if !light && let Some(first) = row.brings.first() {
                self.left_out.push(place.name(first));
            }
            light
        });
        self.left_out.dedup();
    }

    pub(crate) fn print_left_out(&self) {
        if !self.left_out.is_empty() {
            println!("\nleft out by --quick: {}", self.left_out.join(", "));
        }
    }
}

fn is_append_only(place: Place) -> bool {
    matches!(place, Place::RedisEverySecond | Place::RedisAlways)
}

/// The full names of all metrics of a group.
fn names(group: &Group) -> impl Iterator<Item = String> + '_ {
    let brings = group.rows.iter().flat_map(|row| row.brings);
    brings.map(|metric| group.place.name(metric))
}

fn is_asked_for(name: &str, only: &[String]) -> bool {
    only.iter().any(|asked| match asked.strip_prefix('=') {
        Some(exactly) => name == exactly,
        None => name.contains(asked.as_str()),
    })
}

fn check_names(groups: &[Group], only: &[String]) -> Outcome<()> {
    let mut known: Vec<_> = groups.iter().flat_map(names).collect();
    for asked in only {
        if !known.iter().any(|name| is_asked_for(name, std::slice::from_ref(asked))) {
            known.sort();
            known.dedup();
            return Err(format!("no metric has \"{asked}\" in its name; there are:\n{}", in_lines(&known)).into());
        }
    }
    Ok(())
}

/// Names side by side, in lines of a readable length.
fn in_lines(names: &[String]) -> String {
    let mut lines = vec![String::from(" ")];
    for name in names {
        if lines.last().is_some_and(|line| line.len() + name.len() > 110) {
            lines.push(String::from(" "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(' ');
            line.push_str(name);
        }
    }
    lines.join("\n")
}

/// Where a metric comes from, for tests of other files.
#[cfg(test)]
pub(crate) fn all_names() -> Vec<String> {
    groups().iter().flat_map(names).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn select(arguments: &[&str]) -> Outcome<Selection> {
        Selection::of(&Options::try_parse_from(["bench"].iter().chain(arguments)).unwrap())
    }

    fn selected(arguments: &[&str]) -> Vec<String> {
        select(arguments).unwrap().groups.iter().flat_map(|group| names(group).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn a_part_of_a_name_selects_what_is_measured_together() {
        let selected = selected(&["--only", "start_p50", "--engine", "redis"]);
        assert!(selected.contains(&"start_p50_us".to_owned()) && selected.contains(&"wake_p50_us".to_owned()));
        assert!(!selected.iter().any(|name| name.starts_with("drain") || name.starts_with("sqlite")));
    }

    #[test]
    fn an_exact_name_selects_no_longer_ones() {
        assert!(selected(&["--only", "drain"]).contains(&"sqlite_full_drain_results".to_owned()));
        let exact = selected(&["--only", "=drain"]);
        assert!(exact.contains(&"drain".to_owned()) && !exact.contains(&"drain_results".to_owned()), "{exact:?}");
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let refused = select(&["--only", "drian"]).unwrap_err().to_string();
        assert!(refused.contains("\"drian\"") && refused.contains("drain_results"), "{refused}");
    }

    #[test]
    fn quick_leaves_out_what_takes_long_and_says_so() {
        let quick = select(&["--quick"]).unwrap();
        assert!(quick.left_out.contains(&"redis_us_backlog_2m".to_owned()), "{:?}", quick.left_out);
        assert!(!selected(&["--quick"]).contains(&"redis_us_backlog_2m".to_owned()));
        assert!(select(&[]).unwrap().left_out.is_empty());
        assert!(select(&["--quick", "--only", "flow_1ms"]).unwrap_err().to_string().contains("nothing is left"));
    }

    #[test]
    fn the_append_only_file_has_to_be_asked_for() {
        assert!(!selected(&[]).iter().any(|name| name.contains("_aof_")));
        assert!(selected(&["--aof"]).contains(&"drain_aof_always".to_owned()));
    }
}
