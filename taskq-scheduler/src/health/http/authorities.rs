//! [`Authorities`]: whom to trust, as a configuration of TLS. Always with ring, whatever provider the program has chosen for
//! itself, and always with the program's clock.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    crypto::ring,
    pki_types::{CertificateDer, UnixTime, pem::PemObject},
    time_provider::TimeProvider,
};
use taskq_core::{Clock, limits::HEALTH_AUTHORITIES};

use super::super::finding::{Cause, Reason};

/// The system's authorities, kept for a while: reading them at each look would be most of its work.
#[derive(Debug)]
pub(crate) struct Authorities {
    clock: Clock,
    /// With the time when they were read.
    kept: Mutex<Option<(Duration, Arc<ClientConfig>)>>,
}

impl Authorities {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, kept: Mutex::new(None) }
    }

    /// The system's authorities, or those of a file, which is read anew.
    pub(crate) async fn config(&self, ca: Option<&Path>) -> Result<ClientConfig, Reason> {
        let clock = self.clock.clone();
        match ca {
            Some(path) => {
                let path = path.to_owned();
                beside(move || of_file(&path).and_then(|roots| with_roots(roots, &clock))).await
            }
            None => match self.kept() {
                Some(config) => Ok(ClientConfig::clone(&config)),
                None => {
                    let config = beside(move || with_roots(of_system()?, &clock)).await?;
                    let kept = Some((self.clock.monotonic(), Arc::new(config.clone())));
                    *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
                    Ok(config)
                }
            },
        }
    }

    fn kept(&self) -> Option<Arc<ClientConfig>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_young = |read_at: Duration| self.clock.monotonic().saturating_sub(read_at) < HEALTH_AUTHORITIES;
        kept.as_ref().filter(|(read_at, _)| is_young(*read_at)).map(|(_, config)| Arc::clone(config))
    }
}

/// On another thread: it reads files.
pub(crate) async fn beside<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Reason> + Send + 'static,
) -> Result<T, Reason> {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read,
        Err(_) => Err(setup("the runtime is shutting down".to_owned())),
    }
}

fn of_system() -> Result<RootCertStore, Reason> {
    let mut roots = RootCertStore::empty();
    // Some systems have certificates that nobody can read; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    match roots.is_empty() {
        false => Ok(roots),
        true => Err(setup(
            "this machine has no authorities for TLS; install ca-certificates, or name a file with ca".to_owned(),
        )),
    }
}

fn of_file(path: &Path) -> Result<RootCertStore, Reason> {
    let shown = path.display();
    let pem = std::fs::read(path).map_err(|error| setup(format!("cannot read ca {shown}: {error}")))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().unwrap_or_default();
    if certificates.is_empty() {
        return Err(setup(format!("ca {shown} has no certificate in PEM")));
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add(certificate).map_err(|_| setup(format!("ca {shown} has a certificate that is damaged")))?;
    }
    Ok(roots)
}

fn with_roots(roots: RootCertStore, clock: &Clock) -> Result<ClientConfig, Reason> {
    let time = Arc::new(Time(clock.clone()));
    let builder = ClientConfig::builder_with_details(Arc::new(ring::default_provider()), time)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup(format!("TLS cannot be used: {error}")))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // A resumed session does not look at the certificate again: an expired one would go unnoticed.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn setup(words: String) -> Reason {
    Reason::new(Cause::Setup, words)
}

/// The program's clock, by which certificates expire.
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().as_millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}
