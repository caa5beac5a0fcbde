//! Eight busy channels both ways while the server renews its keys.

use alknet_tests::load::channels;
use alknet_tests::{process, targets};

use crate::{Row, mib, real_world};

const CHANNELS: usize = 8;
const MIB_EACH: usize = 200;

pub(crate) fn measure() -> Vec<Row> {
    [("`RekeyLimit 1M`", "RekeyLimit 1M\n"), ("the server's default", "")].map(|(shown, line)| bulk(shown, line)).into()
}

fn bulk(shown: &str, line: &str) -> Row {
    let (world, sshd) = real_world(line);
    let echo = targets::echo();
    world.ctl(["add-forward", "prod", "--name", "web", "--wait", "-L", &format!("0:127.0.0.1:{}", echo.port())]).ok();

    let moved = channels(world.port("web"), CHANNELS, MIB_EACH << 20);

    let logins = sshd.logins();
    let memory = mib(process::peak_resident_bytes(world.daemon_pid()));
    let measured = match &moved {
        Ok(took) => {
            let rate = (2 * CHANNELS * MIB_EACH) as f64 / took.as_secs_f64();
            format!("all right, {:.1} s, {rate:.0} MiB/s in sum, {logins} login, peak {memory}", took.as_secs_f64())
        }
        Err(error) => format!("{error}, {logins} logins"),
    };
    Row::new(
        format!("{CHANNELS} channels x {MIB_EACH} MiB each way, every byte checked, {shown}"),
        "none lost, one login",
        measured,
        moved.is_ok() && logins == 1,
    )
}
