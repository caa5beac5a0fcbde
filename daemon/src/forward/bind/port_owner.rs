//! Finds out which program listens at a port, from what Linux shows in /proc.

use std::fs;

/// The states in /proc/net/tcp are numbers; this one is LISTEN.
const LISTENS: &str = "0A";

/// A program that listens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pid: u32,
    /// Its name, as the program gave it.
    pub(super) program: String,
}

/// Who listens at `port`, if this user may see it. Reads /proc: not for a task that must not block.
pub(super) fn find(port: u16) -> Option<Owner> {
    let inodes = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let found = inodes_in(&fs::read_to_string(table).ok()?, port);
        (!found.is_empty()).then_some(found)
    })?;
    let sockets: Vec<String> = inodes.iter().map(|inode| format!("socket:[{inode}]")).collect();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // Processes of other users do not show their files.
        let Ok(files) = fs::read_dir(process.path().join("fd")) else { continue };
        let has_it = files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| link.to_str().is_some_and(|link| sockets.iter().any(|socket| socket == link)));
        if has_it {
            let program = fs::read_to_string(process.path().join("comm")).ok()?;
            return Some(Owner { pid, program: program.trim().to_owned() });
        }
    }
    None
}

/// The sockets in one of the kernel's tables that listen at `port`.
fn inodes_in(table: &str, port: u16) -> Vec<String> {
    let ends_with_port = format!(":{port:04X}");
    table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [_, address, _, state, _, _, _, _, _, inode, ..] = fields[..] else { return None };
            (state == LISTENS && address.ends_with(&ends_with_port)).then(|| inode.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_that_listens_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();

        let owner = find(listener.local_addr().unwrap().port());

        assert_eq!(owner.map(|owner| owner.pid), Some(std::process::id()));
    }

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 111 1\n\
            1: 0100007F:1F90 0100007F:ABCD 01 00000000:00000000 00:00000000 00000000  1000        0 222 1\n\
            2: 0100007F:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 333 1\n";

        assert_eq!(inodes_in(table, 8080), ["111"]);
    }
}
