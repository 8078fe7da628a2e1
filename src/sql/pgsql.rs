//! The client of PostgreSQL. The library is an asynchronous one; its tasks run in this thread, while an answer is awaited.

use std::error::Error as _;
use std::future::Future;
use std::io::Write;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{FutureExt, TryStreamExt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tokio_postgres::config::Config;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Error, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::ask::Ask;
use super::reading::{self, EachRow, Field, Known, Refusal, Session, seconds};
use super::{Client, Failure};
use crate::host::mailboxes::connection::Pgsql;

/// A connection.
pub struct PgsqlClient {
    runtime: Option<Runtime>,
    client: tokio_postgres::Client,
    config: Config,
    /// Whether it has answered: it may be gone since then.
    has_answered: bool,
}

/// What the file of a connection says; `None` when it is no text that the client library reads.
fn config(to: &Pgsql) -> Option<Config> {
    std::str::from_utf8(&to.0).ok()?.parse().ok()
}

impl PgsqlClient {
    /// Connects.
    ///
    /// # Errors
    /// Why there is no connection.
    pub fn connect(to: &Pgsql, ask: &Ask) -> Result<PgsqlClient, Failure> {
        // Why not would hold a part of the line.
        let none =
            || Failure::Server("the file of the connection holds a setting that this program does not know".to_owned());
        let mut config = config(to).ok_or_else(none)?;
        config.connect_timeout(ask.connect);
        let (runtime, client) = connect(&config, ask)?;
        Ok(PgsqlClient { runtime: Some(runtime), client, config, has_answered: false })
    }
}

fn connect(config: &Config, ask: &Ask) -> Result<(Runtime, tokio_postgres::Client), Failure> {
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|cause| Failure::Server(cause.to_string()))?;
    let provider = Arc::new(ring::default_provider());
    let verifier = Arc::new(Unverified(Arc::clone(&provider)));
    let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let tls = tls
        .map_err(|cause| Failure::Server(cause.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let tls = MakeRustlsConnect::new(tls);
    // A time limit can only be made where the runtime runs.
    let connected = runtime.block_on(async { timeout(ask.connect, config.connect(tls)).await });
    match connected {
        Ok(Ok((client, connection))) => {
            // What becomes of it, the statements tell.
            runtime.spawn(async move { drop(connection.await) });
            Ok((runtime, client))
        }
        Ok(Err(cause)) => {
            runtime.shutdown_background();
            Err(Failure::Server(words(&cause)))
        }
        Err(_) => {
            // It may still look for the address of the host.
            runtime.shutdown_background();
            Err(Failure::Server(format!("no connection within {}", seconds(ask.connect))))
        }
    }
}

impl Drop for PgsqlClient {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Any certificate: as with libpq's `sslmode=require`, nobody who only listens reads what is sent.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What there is to say of an error: the words of the server where it said any.
fn words(cause: &Error) -> String {
    match cause.as_db_error() {
        Some(said) => format!("{}: {}", said.code().code(), said.message()),
        None => match cause.source() {
            Some(source) => format!("{cause}: {source}"),
            None => cause.to_string(),
        },
    }
}

fn lost(cause: &Error) -> Refusal {
    // An error ends the transaction: no statement is of use after it.
    Refusal::Connection(Failure::Server(words(cause)))
}

/// The bytes of a value as the server sends them.
struct Raw<'r>(&'r [u8]);

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(_: &Type, raw: &'r [u8]) -> Result<Raw<'r>, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Raw(raw))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Text that is sent as it is.
#[derive(Debug)]
struct Text<'t>(&'t [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0);
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Whether the numbers of a type and of a collation are those of text or varchar, and of the database's collation, C or POSIX.
/// These collations are deterministic: equal texts are equal bytes. The numbers are the same on every server.
fn is_deterministic(compares: &[u8]) -> bool {
    const TYPES: [&[u8]; 2] = [b"25", b"1043"];
    const COLLATIONS: [&[u8]; 3] = [b"100", b"950", b"951"];
    let parts: Vec<&[u8]> = compares.split(|b| *b == b' ').collect();
    matches!(parts[..], [of_type, collation] if TYPES.contains(&of_type) && COLLATIONS.contains(&collation))
}

struct Transaction<'c> {
    runtime: &'c Runtime,
    client: &'c tokio_postgres::Client,
    database: String,
    read: Duration,
}

impl Transaction<'_> {
    /// Sends statements without rows.
    fn send(&self, statements: &str) -> Result<(), Refusal> {
        self.runtime.block_on(within(self.read, self.client.batch_execute(statements)))
    }

    /// One snapshot of all tables for all that is asked from now on.
    fn begin(&mut self) -> Result<(), Refusal> {
        self.send("START TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
        // Rows that a policy hides would be rows that are not there: with this they are an error.
        self.send("SET LOCAL row_security = off")?;
        let mut encoding = Vec::new();
        self.select("SELECT getdatabaseencoding()::text", &[], &mut |fields| {
            encoding = fields.first().copied().flatten().unwrap_or_default().to_vec();
            Ok(())
        })?;
        if encoding != b"UTF8" {
            // The bytes as they are: vpopmail's client library converts nothing.
            self.send("SET LOCAL client_encoding = 'SQL_ASCII'")?;
        }
        Ok(())
    }
}

/// What comes within the time limit.
async fn within<T>(read: Duration, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Refusal> {
    match timeout(read, answer).await {
        Ok(answer) => answer.map_err(|cause| lost(&cause)),
        Err(_) => Err(Refusal::Connection(Failure::Server(format!("the server sent nothing for {}", seconds(read))))),
    }
}

impl Session for Transaction<'_> {
    fn database(&self) -> String {
        self.database.clone()
    }

    fn lacks(&mut self, table: &str) -> Result<bool, Refusal> {
        let statement =
            "SELECT 1::text FROM pg_catalog.pg_class WHERE relname = $1 AND pg_catalog.pg_table_is_visible(oid)";
        self.has_none(statement, &[table.as_bytes()])
    }

    fn columns(&self) -> &'static str {
        "SELECT c.relname::text, a.attname::text, (a.atttypid::text || ' ' || a.attcollation::text) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
         WHERE a.attname IN ('pw_name', 'pw_domain', 'alias', 'domain') AND NOT a.attisdropped AND pg_catalog.pg_table_is_visible(c.oid) \
         AND c.relkind IN ('r', 'v', 'm', 'f', 'p')"
    }

    fn compares_bytes(&self, compares: &[u8]) -> bool {
        is_deterministic(compares)
    }

    fn quoted(&self, table: &str) -> String {
        format!("\"{}\"", table.replace('"', "\"\""))
    }

    fn first(&self, column: &str, length: usize) -> String {
        // Counting the bytes is cheap; counting characters takes longer than everything else that the server does for a row.
        format!("CASE WHEN octet_length({column}) <= {length} THEN {column} ELSE left({column}, {length}) END")
    }

    fn number(&self, column: &str) -> String {
        format!("{column}::text")
    }

    fn parameter(&self, number: usize) -> String {
        format!("${number}")
    }

    fn select(&mut self, statement: &str, parameters: &[&[u8]], each: EachRow<'_>) -> Result<(), Refusal> {
        let parameters: Vec<Text<'_>> = parameters.iter().map(|parameter| Text(parameter)).collect();
        self.runtime.block_on(async {
            let rows = within(self.read, self.client.query_raw(statement, &parameters)).await?;
            let mut rows = pin!(rows);
            loop {
                // Most rows are there already: a time limit for each would take longer than the row.
                let row = match rows.try_next().now_or_never() {
                    Some(row) => row.map_err(|cause| lost(&cause))?,
                    None => within(self.read, rows.try_next()).await?,
                };
                match row {
                    Some(row) => each_field(&row, each)?,
                    None => return Ok(()),
                }
            }
        })
    }
}

fn each_field(row: &Row, each: EachRow<'_>) -> Result<(), Refusal> {
    const COLUMNS: usize = 4;
    let mut fields: [Field<'_>; COLUMNS] = [None; COLUMNS];
    for (at, field) in fields.iter_mut().enumerate().take(row.len()) {
        *field = row.try_get::<_, Option<Raw<'_>>>(at).map_err(|cause| lost(&cause))?.map(|raw| raw.0);
    }
    each(&fields[..row.len().min(COLUMNS)]).map_err(Refusal::Connection)
}

impl Client for PgsqlClient {
    fn answer(&mut self, ask: &Ask, output: &mut dyn Write) -> Result<(), Failure> {
        let database = self.config.get_dbname().unwrap_or_default().to_owned();
        let gone = || Failure::Server("the connection to the server was lost".to_owned());
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let begun = Transaction { runtime, client: &self.client, database: database.clone(), read: ask.read }.begin();
        if let Err(refusal) = begun {
            // The server may have been started again since the last question, or let an idle connection go.
            if !self.has_answered {
                return Err(refusal.into());
            }
            let (runtime, client) = connect(&self.config, ask)?;
            self.client = client;
            if let Some(old) = self.runtime.replace(runtime) {
                old.shutdown_background();
            }
            let runtime = self.runtime.as_ref().ok_or_else(gone)?;
            Transaction { runtime, client: &self.client, database: database.clone(), read: ask.read }.begin()?;
        }
        self.has_answered = true;
        let runtime = self.runtime.as_ref().ok_or_else(gone)?;
        let mut transaction = Transaction { runtime, client: &self.client, database, read: ask.read };
        // What a statement is refused with ends the transaction, and is told as that.
        reading::answer(&mut transaction, ask, &mut Known::new(), output, &|words| words)?;
        // The answer is whole; a connection that is gone is found by the next question.
        let _ = transaction.send("COMMIT");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_text_with_a_deterministic_collation_is_not_asked_about() {
        // SELECT oid FROM pg_type: text 25, name 19, bpchar 1042, varchar 1043; pg_collation: default 100, C 950, POSIX 951.
        for (compares, expected) in [
            ("25 100", true),
            ("1043 100", true),
            ("1043 950", true),
            ("25 951", true),
            ("1042 100", false),
            ("19 950", false),
            ("16400 100", false),
            ("25 16401", false),
            ("25 0", false),
            ("25", false),
            ("", false),
        ] {
            assert_eq!(is_deterministic(compares.as_bytes()), expected, "{compares}");
        }
    }
}
