//! Finds the process of the server that serves a session of ours, and ends it when the session is dead and the process
//! does not know it yet.
//!
//! A command that runs on a session is started by the process that serves it, so its parent is that process. Number,
//! start time and boot name one process for ever: no other one has all three. They are asked for while the session
//! lives, kept here, and compared again in the command that ends it. Nothing else is ever ended.

use alknet_proto::fault::one_line;

use super::link::Link;

/// A process of a Linux server that serves, or served, one session of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProcess {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since the boot.
    started: u64,
    /// Which boot.
    boot: String,
}

/// What became of the process of a dead session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was there, and is not any more.
    Now,
    /// It was gone before.
    Before,
}

impl Link {
    /// The process that serves this session; asked for once.
    ///
    /// # Errors
    /// Why it is not known, as words that complete «because».
    pub async fn server_process(&self) -> Result<ServerProcess, String> {
        let asked = async {
            let mark = mark();
            let output = self.run_command(&find_command(&mark)).await?;
            let said = answer(&output, &mark).ok_or("the server does not show which process serves a session")?;
            ServerProcess::parse(said).ok_or_else(|| "the server's answer about its process is unclear".to_owned())
        };
        self.server_process.get_or_init(|| asked).await.clone()
    }

    /// Ends the process of a session of ours that is dead, if it is still that process. Waits until it is gone.
    ///
    /// # Errors
    /// Why it is still there, as words that complete «because».
    pub async fn end_process(&self, process: &ServerProcess) -> Result<Ended, String> {
        let mark = mark();
        let output = self.run_command(&end_command(process, &mark)).await?;
        match answer(&output, &mark) {
            Some("ended") => Ok(Ended::Now),
            Some("gone") => Ok(Ended::Before),
            Some("own") => Err("it serves this session too".to_owned()),
            Some("stays") => Err(format!("process {} of the server does not end", process.pid)),
            Some(_) | None => Err("the server did not say what became of it".to_owned()),
        }
    }

    /// The addresses at which the server listens on `port`, as its kernel says; empty where it does not say.
    pub async fn listening_addresses(&self, port: u16) -> Vec<String> {
        let mark = mark();
        match self.run_command(&listening_command(port, &mark)).await {
            Ok(output) => answer(&output, &mark).map(addresses).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}

impl ServerProcess {
    /// `4711 123456 0a1b…`; strict, since it becomes part of a command.
    fn parse(text: &str) -> Option<ServerProcess> {
        let mut words = text.split(' ');
        let (pid, started, boot) = (words.next()?, words.next()?, words.next()?);
        let is_plain = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        let is_boot = boot.len() == 36 && boot.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !is_plain(pid) || !is_plain(started) || !is_boot || words.next().is_some() {
            return None;
        }
        // The first process and no process are none of ours.
        let pid = pid.parse().ok().filter(|pid| 1 < *pid)?;
        Some(ServerProcess { pid, started: started.parse().ok()?, boot: boot.to_owned() })
    }
}

/// What stands before an answer, so that it is told from what a login prints.
fn mark() -> String {
    format!("alknet-{:016x}", fastrand::u64(..))
}

/// The words behind the mark.
fn answer<'a>(output: &'a str, mark: &str) -> Option<&'a str> {
    output.lines().find_map(|line| line.strip_prefix(mark)?.strip_prefix(' ')).map(str::trim)
}

/// Every command goes through `exec sh`: whatever the login shell is, the parent stays the server's process.
fn shell(script: &str) -> String {
    debug_assert!(!script.contains('\''), "it stands between quotes");
    format!("exec /bin/sh -c '{script}'")
}

/// Sets `t` to the start time of process `p`, or to nothing where that is no process of sshd.
const START_OF: &str = r#"look() { t=; s=$(cat "/proc/$p/stat" 2>/dev/null) || return 0; case "$s" in "$p (sshd"*) ;; *) return 0;; esac; set -- ${s##*) }; t=${20}; }"#;

fn find_command(mark: &str) -> String {
    shell(&format!(
        r#"{START_OF}; p=$PPID; look; b=$(cat /proc/sys/kernel/random/boot_id 2>/dev/null); [ -n "$t" ] && [ -n "$b" ] && echo "{mark} $p $t $b""#
    ))
}

/// A process that does not end by SIGTERM within two seconds, because it is stopped, ends by SIGKILL.
fn end_command(process: &ServerProcess, mark: &str) -> String {
    let ServerProcess { pid, started, boot } = process;
    shell(&format!(
        r#"{START_OF}; say() {{ echo "{mark} $1"; exit; }}; p={pid}; [ "$PPID" = "$p" ] && say own; [ "$(cat /proc/sys/kernel/random/boot_id)" = "{boot}" ] || say gone; look; [ "$t" = "{started}" ] || say gone; kill "$p" || say stays; n=0; while [ "$n" -lt 40 ]; do look; [ "$t" = "{started}" ] || say ended; [ "$n" = 20 ] && kill -9 "$p"; n=$((n+1)); sleep 0.1; done; say stays"#
    ))
}

/// State 0A is a listening socket; the port is in hexadecimal digits behind the address.
fn listening_command(port: u16, mark: &str) -> String {
    shell(&format!(
        r#"set -- $(cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | while read -r n l r s x; do case "$l $s" in *":{port:04X} 0A") echo "${{l%:*}}";; esac; done); echo "{mark} $*""#
    ))
}

/// `0100007F 00000000000000000000000000000000` is `127.0.0.1` and `::`: words of 32 bits in the order of the machine.
fn addresses(said: &str) -> Vec<String> {
    let bytes_of = |word: &str| {
        let value = u32::from_str_radix(word, 16).ok()?;
        // Nearly every server counts that way; on the others, the addresses that matter read the same both ways or not at all.
        Some(value.to_le_bytes())
    };
    let address = |word: &str| -> Option<std::net::IpAddr> {
        if !matches!(word.len(), 8 | 32) {
            return None;
        }
        let words: Option<Vec<[u8; 4]>> =
            word.as_bytes().chunks(8).map(|part| bytes_of(std::str::from_utf8(part).ok()?)).collect();
        let bytes: Vec<u8> = words?.concat();
        match bytes.len() {
            4 => Some(<[u8; 4]>::try_from(bytes).ok()?.into()),
            16 => Some(<[u8; 16]>::try_from(bytes).ok()?.into()),
            _ => None,
        }
    };
    let mut found: Vec<String> =
        said.split_whitespace().filter_map(address).map(|ip| one_line(&ip.to_string())).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const BOOT: &str = "0a1b2c3d-0000-1111-2222-333344445555";

    #[test]
    fn only_a_whole_answer_names_a_process() {
        let good = format!("4711 123456 {BOOT}");
        let expected = ServerProcess { pid: 4711, started: 123_456, boot: BOOT.to_owned() };
        assert_eq!(ServerProcess::parse(&good), Some(expected));
        for bad in [
            "",
            "4711",
            "4711 123456",
            "4711 123456 short",
            "1 123456 0a1b2c3d-0000-1111-2222-333344445555",
            "0 123456 0a1b2c3d-0000-1111-2222-333344445555",
            "-1 123456 0a1b2c3d-0000-1111-2222-333344445555",
            "4711 1;reboot 0a1b2c3d-0000-1111-2222-333344445555",
            "4711 123456 $(reboot)-0000-1111-2222-333344445555",
            "4711 123456 0a1b2c3d-0000-1111-2222-333344445555 more",
            "99999999999 123456 0a1b2c3d-0000-1111-2222-333344445555",
        ] {
            assert_eq!(ServerProcess::parse(bad), None, "{bad:?} was taken");
        }
    }

    #[test]
    fn an_answer_is_told_from_what_a_login_prints() {
        let output = "Welcome!\nalknet-1 of somebody else\nalknet-2 ended\r\nbye\n";
        assert_eq!(answer(output, "alknet-2"), Some("ended"));
        assert_eq!(answer(output, "alknet-3"), None);
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        assert_eq!(addresses("0100007F 00000000"), ["0.0.0.0", "127.0.0.1"]);
        let six = "00000000000000000000000001000000 00000000000000000000000000000000";
        assert_eq!(addresses(six), ["::", "::1"]);
        assert_eq!(addresses("nonsense 01 "), Vec::<String>::new());
    }

    /// Runs a command as sshd would: by a shell of its own.
    #[cfg(target_os = "linux")]
    fn run(command: &str) -> String {
        let output = Command::new("/bin/sh").arg("-c").arg(command).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_is_no_sshd_or_another_one_is_never_ended() {
        let mut other = Command::new("sleep").arg("60").spawn().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", other.id())).unwrap();
        let started = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().parse().unwrap();
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim().to_owned();
        let sleeping = ServerProcess { pid: other.id(), started, boot: boot.clone() };
        let of_another_boot = ServerProcess { boot: BOOT.to_owned(), ..sleeping.clone() };
        let own = ServerProcess { pid: std::process::id(), started: 1, boot };

        for process in [&sleeping, &of_another_boot] {
            assert_eq!(run(&end_command(process, "m")), "m gone\n");
        }
        assert_eq!(run(&end_command(&own, "m")), "m own\n");

        assert_eq!(other.try_wait().unwrap(), None, "it lives");
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(run(&find_command("m")), "", "the parent is no sshd");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_kernel_says_where_a_port_is_listened_at() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();

        let output = run(&listening_command(port, "m"));

        assert_eq!(answer(&output, "m").map(addresses).unwrap(), ["127.0.0.1"]);
    }
}
