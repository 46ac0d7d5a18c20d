//! Connections to the server, made as taskq makes its own.

use bench_driver::Outcome;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, aio::MultiplexedConnection, io::tcp::TcpSettings};

/// A connection of its own. It waits for answers as long as it takes, since some calls block.
pub(crate) async fn connect(url: &str) -> Outcome<MultiplexedConnection> {
    // Without it a lone small request waits for more, and the floor would not be the floor.
    let settings = TcpSettings::default().set_nodelay(true);
    let client = Client::open(url.into_connection_info()?.set_tcp_settings(settings))?;
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}
