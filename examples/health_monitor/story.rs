//! Starts the servers and the processes that watch them, kills one server and revives it, and tells how soon that was known.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::sync::mpsc;

use crate::servers;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Every check looks this often, and gives up after this long.
const EVERY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(1);

/// What a change may take beyond that to be seen here: a process that is started and asks.
const LOOKING: Duration = Duration::from_secs(3);

/// How each target has to be found.
const EXPECTED: [(&str, &str); 12] = [
    ("certificate-expired", "unhealthy"),
    ("certificate-soon", "degraded"),
    ("command", "healthy"),
    ("database", "healthy"),
    ("error", "unhealthy"),
    ("hangs", "unhealthy"),
    ("port", "healthy"),
    ("redirect", "unhealthy"),
    ("refused", "unhealthy"),
    ("shop", "healthy"),
    ("slow", "degraded"),
    ("stock", "healthy"),
];

/// The folder in which everything happens, and the processes in it.
struct Stage {
    folder: tempfile::TempDir,
    url: String,
    processes: Vec<Child>,
}

pub(crate) async fn play(url: Option<String>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (shop_address, shop) = servers::shop(None).await?;
    let (pager, mut pages) = servers::pager().await?;
    write_config(folder.path(), shop_address, pager, url.as_deref()).await?;

    // On SQLite one process does all; a server is shared by as many as you like.
    let mut stage = Stage {
        url: url.clone().unwrap_or_else(|| format!("sqlite://{}", folder.path().join("tasks.db").display())),
        folder,
        processes: Vec::new(),
    };
    match url {
        None => stage.start(&["worker", "--scheduler"])?,
        Some(_) => {
            (0..3).try_for_each(|_| stage.start(&["worker"]))?;
            (0..2).try_for_each(|_| stage.start(&["scheduler"]))?;
        }
    }
    println!("targets: {}, processes that watch them: {}", EXPECTED.len(), stage.processes.len());
    for (name, health) in EXPECTED {
        stage.wait_until(name, health, EVERY * 3 + TIMEOUT).await?;
    }
    println!("all are as they should be; what is wrong was told:");
    wait_for_pages(&mut pages, &["certificate-expired", "error", "hangs", "redirect", "refused"]).await?;

    shop.abort();
    let killed = Instant::now();
    stage.wait_until("shop", "unhealthy", EVERY + TIMEOUT).await?;
    let page = page_of(&mut pages, "shop").await?;
    println!("the shop was killed; known and told after {:.1} s: {page}", killed.elapsed().as_secs_f64());

    let (_, _shop) = servers::shop(Some(shop_address)).await?;
    let revived = Instant::now();
    stage.wait_until("shop", "healthy", EVERY + TIMEOUT).await?;
    let page = page_of(&mut pages, "shop").await?;
    println!("the shop was revived; known and told after {:.1} s: {page}", revived.elapsed().as_secs_f64());

    println!("{}", stage.ask(&["health"])?);
    Ok(())
}

async fn write_config(
    folder: &Path,
    shop: std::net::SocketAddr,
    pager: std::net::SocketAddr,
    url: Option<&str>,
) -> Result<()> {
    let (site, authority, nobody) = (servers::website().await?, servers::Authority::new()?, servers::nobody().await?);
    let (expired, soon) = (authority.server(-3).await?.port(), authority.server(5).await?.port());
    let ca = folder.join("ca.pem");
    std::fs::write(&ca, &authority.pem)?;
    let ca = ca.display();
    let database = match url {
        Some(url) => format!("redis = \"{url}\""),
        None => format!("sqlite = \"{}\"", folder.join("tasks.db").display()),
    };
    let targets = [
        ("certificate-expired", format!("http = {{ url = \"https://localhost:{expired}/\", ca = \"{ca}\" }}")),
        (
            "certificate-soon",
            format!("http = {{ url = \"https://localhost:{soon}/\", ca = \"{ca}\", certificate_days = 14 }}"),
        ),
        ("command", "command = [\"true\"]".to_owned()),
        ("database", database),
        ("error", format!("http = \"http://{site}/error\"")),
        ("hangs", format!("http = \"http://{site}/hangs\"")),
        ("port", format!("tcp = \"{site}\"")),
        ("redirect", format!("http = {{ url = \"http://{site}/redirect\", redirects = 3 }}")),
        ("refused", format!("tcp = \"{nobody}\"")),
        ("shop", format!("http = \"http://{shop}/\"")),
        ("slow", format!("http = {{ url = \"http://{site}/slow\", latency = \"100ms\", contains = \"here\" }}")),
        ("stock", "task = { name = \"count_stock\", args = { least = 3 } }".to_owned()),
    ];
    let mut config = String::from("[security]\ncheck_commands = true\n");
    config += &format!("[alert.pager]\nwebhook = \"http://{pager}/\"\n");
    for (name, target) in targets {
        config += &format!("[health.{name}]\nevery = \"{}s\"\n", EVERY.as_secs());
        config += &format!("timeout = \"{}s\"\nfailures = 1\n{target}\n", TIMEOUT.as_secs());
    }
    Ok(std::fs::write(folder.join("taskq.toml"), config)?)
}

impl Stage {
    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let program: PathBuf = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.args(arguments).args(["--url", &self.url]).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("TASKQ__LOG__FILTER", "error");
        Ok(command)
    }

    fn start(&mut self, arguments: &[&str]) -> Result<()> {
        let child = self.command(arguments)?.spawn()?;
        self.processes.push(child);
        Ok(())
    }

    /// What a command of the program prints, whatever its exit code.
    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let output = self.command(arguments)?.output()?;
        match output.status.code() {
            Some(0 | 1) if !output.stdout.is_empty() => Ok(String::from_utf8(output.stdout)?),
            _ => Err(String::from_utf8_lossy(&output.stderr).into()),
        }
    }

    async fn wait_until(&self, check: &str, health: &str, bound: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut last = String::new();
        while begun.elapsed() < bound + LOOKING {
            let rows = self.ask(&["health", "--json"]).unwrap_or_default();
            let rows = rows.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(row) = rows.into_iter().find(|row| row["name"] == check) {
                if row["health"] == health {
                    return Ok(());
                }
                last = row.to_string();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("{check} is not {health} after {bound:?}: {last}").into())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in &mut self.processes {
            // Its end is all that matters here.
            drop(child.kill().and_then(|()| child.wait()));
        }
    }
}

/// Waits until each of these was told of, and prints what was told.
async fn wait_for_pages(pages: &mut mpsc::UnboundedReceiver<String>, checks: &[&str]) -> Result<()> {
    let mut told = Vec::new();
    for check in checks {
        let is_it = |page: &String| page.starts_with(&format!("{check} is "));
        while !told.iter().any(is_it) {
            told.push(next(pages).await?);
        }
    }
    told.sort();
    told.iter().for_each(|page| println!("  {page}"));
    Ok(())
}

async fn page_of(pages: &mut mpsc::UnboundedReceiver<String>, check: &str) -> Result<String> {
    loop {
        let page = next(pages).await?;
        if page.starts_with(check) {
            return Ok(page);
        }
    }
}

async fn next(pages: &mut mpsc::UnboundedReceiver<String>) -> Result<String> {
    let page = tokio::time::timeout(Duration::from_secs(20), pages.recv()).await;
    page.map_err(|_| "nothing was told")?.ok_or_else(|| "the pager has ended".into())
}
