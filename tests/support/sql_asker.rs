//! The process that asks a user database, without the program.

use std::io::{BufRead, BufReader, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use qmail_updater::os::spawn::{DATABASE_PROGRAM, EXCHANGE};
use qmail_updater::sql::ask::Ask;

/// The process that asks, as the program starts it.
pub struct Asker {
    socket: UnixStream,
    child: Child,
}

impl Asker {
    /// Starts one with the file of a connection of this content.
    pub fn start(connection: &str) -> Asker {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(connection.as_bytes()).unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let (socket, its) = UnixStream::pair().unwrap();
        let mut command = Command::new(Path::new(crate::support::tested()).with_file_name(DATABASE_PROGRAM));
        // No other uid and gid.
        command.args([EXCHANGE, "", ""]).env_clear().current_dir("/");
        let child = command.stdin(file).stdout(OwnedFd::from(its)).stderr(Stdio::null()).spawn().unwrap();
        drop(command);
        // Its first line; nothing follows before it is asked.
        BufReader::new(&socket).read_line(&mut String::new()).unwrap();
        Asker { socket, child }
    }

    /// Asks; the stream can be read.
    pub fn ask(&mut self, ask: &Ask) -> &mut UnixStream {
        ask.write(&mut self.socket).unwrap();
        &mut self.socket
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.child.wait();
    }
}
