//! A bound from below: whoever reads the users of a database has to fetch these columns of each row. This does that, and
//! nothing with them.

use std::error::Error;
use std::ffi::OsString;
use std::hint::black_box;
use std::pin::pin;

use futures_util::TryStreamExt;
use mysql::prelude::Queryable;
use mysql::{Conn, OptsBuilder};
use tokio_postgres::{Config, NoTls};

/// The first argument that makes this program do it; then `mysql` and a socket, or `pgsql` and the directory of one.
pub const WORD: &str = "--only-stream";
/// Who may read the tables.
pub const USER: &str = "vp";
/// The password of that user.
pub const PASSWORD: &str = "benchmark";
/// The database, and its table of mailboxes.
pub const DATABASE: &str = "vpopmail";

const STATEMENTS: [&str; 2] =
    ["SELECT pw_domain, pw_name, pw_passwd, pw_gid FROM vpopmail", "SELECT domain, alias, valias_line FROM valias"];

/// Fetches every row.
pub fn serve(words: &[OsString]) -> Result<(), Box<dyn Error>> {
    let [kind, place] = words else { return Err("a kind of server, and where it is".into()) };
    let place = place.to_string_lossy();
    match kind.to_str() {
        Some("mysql") => mysql(&place),
        _ => pgsql(&place),
    }
}

fn mysql(socket: &str) -> Result<(), Box<dyn Error>> {
    let options = OptsBuilder::new().socket(Some(socket)).user(Some(USER)).pass(Some(PASSWORD)).db_name(Some(DATABASE));
    let mut conn = Conn::new(options)?;
    for statement in STATEMENTS {
        for row in conn.query_iter(statement)? {
            black_box(row?);
        }
    }
    Ok(())
}

fn pgsql(directory: &str) -> Result<(), Box<dyn Error>> {
    let mut config = Config::new();
    config.host_path(directory).user(USER).password(PASSWORD).dbname(DATABASE);
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        for statement in STATEMENTS {
            let mut rows = pin!(client.query_raw(statement, [""; 0]).await?);
            while let Some(row) = rows.try_next().await? {
                black_box(row);
            }
        }
        Ok(())
    })
}
