//! `dashboard`: the pages, served by this process.

use std::{
    io::Read,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand};
use taskq_core::{BoxError, Error, ErrorKind, Result, signals::Stops};

use super::{
    output::say,
    probes::{self, Pulses},
};
use crate::{
    config::Config,
    dashboard::{Accounts, Options, ProxyIdentity, hash_password},
};

/// Longest file of accounts, in bytes: a thousand of them.
const MAX_ACCOUNTS_FILE: u64 = 512 * 1024;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct DashboardArgs {
    #[command(subcommand)]
    command: Option<DashboardCommand>,
    /// Where it is served. Another address than this machine's own needs --accounts or --proxy-header
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Answer GET /healthz and /readyz here, for whoever runs it, and with the feature `metrics` also /metrics and
    /// /depth?queue=NAME: 127.0.0.1:9002. Nobody signs in there
    #[arg(long, value_name = "ADDRESS")]
    probes: Option<SocketAddr>,
    /// Let operators pause, retry, cancel, delete and trigger. Without it everybody looks only
    #[arg(long)]
    allow_actions: bool,
    /// Ask everybody to sign in: a file with lines NAME:ROLE:HASH. The role is viewer or operator; `dashboard hash-password`
    /// makes the hash
    #[arg(long, value_name = "FILE", conflicts_with = "proxy_header")]
    accounts: Option<PathBuf>,
    /// Believe a reverse proxy who somebody is, by this header
    #[arg(long, value_name = "HEADER", requires = "proxy_peer")]
    proxy_header: Option<String>,
    /// The address from which the proxy comes; nobody else's header counts. Repeat it for more
    #[arg(long, value_name = "IP", requires = "proxy_header")]
    proxy_peer: Vec<IpAddr>,
    /// Somebody whom the proxy names and who may act; others look. Repeat it for more
    #[arg(long, value_name = "NAME", requires = "proxy_header")]
    operator: Vec<String>,
    /// A name under which browsers reach it, if that is not the address. Repeat it for more
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Browsers come over HTTPS, which a proxy ends: send the session's cookie no other way
    #[arg(long)]
    https_only: bool,
    /// Where browsers find it behind a proxy that takes that off: /tasks
    #[arg(long, value_name = "PATH")]
    base: Option<String>,
    /// What it is called
    #[arg(long)]
    title: Option<String>,
    /// Where traces are shown, with {trace_id} in it: https://traces.example.org/trace/{trace_id}
    #[arg(long, value_name = "URL")]
    trace_link: Option<String>,
}

#[derive(Debug, Subcommand)]
enum DashboardCommand {
    /// Reads a password from standard input, and prints its hash for the file of accounts
    HashPassword,
}

/// Serves until SIGTERM or ctrl-c.
pub(super) async fn run(config: &Config, args: DashboardArgs) -> Result<ExitCode, BoxError> {
    if let Some(DashboardCommand::HashPassword) = args.command {
        say(hash_password(&password()?)?);
        return Ok(ExitCode::SUCCESS);
    }
    let mut stops = Stops::listen();
    let options = options(&args)?;
    options.check_address(&args.listen)?;
    // Bound before the broker is asked: a taken address is told at once.
    let Some(listener) = probes::bind(Some(args.listen)).await? else { return Ok(ExitCode::FAILURE) };
    let address = listener.local_addr()?;
    let probes = probes::bind(args.probes).await?;
    let connection = super::connect(config).await?;
    probes::serve(probes, &connection, Pulses::default());
    let dashboard = crate::dashboard::new(connection, options);
    say(format_args!(
        "dashboard at http://{address}{}/",
        args.base.as_deref().unwrap_or_default().trim_end_matches('/')
    ));
    let service = dashboard.router().into_make_service_with_connect_info::<SocketAddr>();
    let closing = dashboard.clone();
    let stopped = async move {
        stops.next().await;
        closing.close().await;
    };
    axum::serve(listener, service).with_graceful_shutdown(stopped).await?;
    Ok(ExitCode::SUCCESS)
}

fn options(args: &DashboardArgs) -> Result<Options> {
    let mut options = args.host.iter().fold(Options::new(), |options, host| options.host(host));
    if args.allow_actions {
        options = options.allow_actions();
    }
    if args.https_only {
        options = options.https_only();
    }
    if let Some(file) = &args.accounts {
        options = options.accounts(Accounts::read(&read_accounts(file)?)?);
    }
    if let Some(header) = &args.proxy_header {
        let proxy = args.proxy_peer.iter().fold(ProxyIdentity::from_header(header)?, |proxy, peer| proxy.peer(*peer));
        options = options.proxy(args.operator.iter().fold(proxy, |proxy, name| proxy.operator(name)));
    }
    if let Some(path) = &args.base {
        options = options.base(path);
    }
    if let Some(title) = &args.title {
        options = options.title(title);
    }
    match &args.trace_link {
        Some(link) => options.trace_link(link),
        None => Ok(options),
    }
}

fn read_accounts(path: &std::path::Path) -> Result<String> {
    let wrong = |why: String| Error::new(ErrorKind::Config, "read accounts", path.display()).because(why);
    let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
    let mut text = String::new();
    let read = file.take(MAX_ACCOUNTS_FILE + 1).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    match read as u64 > MAX_ACCOUNTS_FILE {
        true => Err(wrong(format!("it has over {MAX_ACCOUNTS_FILE} bytes"))),
        false => Ok(text),
    }
}

/// One line of standard input. On a terminal it can be seen, so it is better piped from where it is kept.
fn password() -> Result<String> {
    let mut line = String::new();
    let wrong = |why: String| Error::new(ErrorKind::InvalidInput, "read", "password").because(why);
    std::io::BufRead::read_line(&mut std::io::stdin().lock().take(4_096), &mut line)
        .map_err(|error| wrong(error.to_string()))?;
    let password = line.trim_end_matches(['\r', '\n']);
    Ok(password.to_owned())
}
