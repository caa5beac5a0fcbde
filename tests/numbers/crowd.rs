//! A thousand connections at once, through alknet and through `ssh -L`.

use alknet_tests::load::{Crowd, assert_echo, crowd};
use alknet_tests::ports::free_port;
use alknet_tests::{openssh, process, targets};

use crate::{Row, mib, real_world};

const CONNECTIONS: usize = 1000;
const BYTES_EACH: usize = 256 << 10;

pub(crate) fn measure() -> Vec<Row> {
    let (world, _sshd) = real_world("");
    let echo = targets::echo();

    world.ctl(["add-forward", "prod", "--name", "web", "--wait", "-L", &format!("0:127.0.0.1:{}", echo.port())]).ok();
    let port = world.port("web");
    assert_echo(port);
    let through_alknet = crowd(port, CONNECTIONS, BYTES_EACH);
    let alknet_memory = process::peak_resident_bytes(world.daemon_pid());
    let stats = world.forward("web")["stats"].clone();
    world.stop();

    let port = free_port();
    let option = format!("-L{port}:127.0.0.1:{}", echo.port());
    let is_open = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    let ssh = openssh::forward(&world, "prod", &[&option], is_open);
    assert_echo(port);
    let through_ssh = crowd(port, CONNECTIONS, BYTES_EACH);
    let ssh_memory = process::peak_resident_bytes(ssh.pid());

    for error in through_alknet.errors.iter().take(5) {
        eprintln!("alknet: {error}");
    }
    eprintln!("counters of the rule: {stats}");
    let what = |program: &str| format!("{CONNECTIONS} connections at once, 256 KiB echoed by each, {program}");
    vec![
        Row::new(
            what("alknet"),
            "none lost",
            told(&through_alknet, alknet_memory),
            through_alknet.whole == CONNECTIONS,
        ),
        Row::beside(what("`ssh -L`"), told(&through_ssh, ssh_memory)),
    ]
}

fn told(crowd: &Crowd, memory: u64) -> String {
    let lost = crowd.errors.len();
    format!("{} whole, {lost} lost, {:.1} s, peak {}", crowd.whole, crowd.took.as_secs_f64(), mib(memory))
}
