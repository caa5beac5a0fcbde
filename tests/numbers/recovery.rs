//! From SIGKILL of the server's session process to Active again.

use std::time::{Duration, Instant};

use alknet_tests::load::assert_echo;
use alknet_tests::targets;

use crate::{Row, median, ms, real_world};

const RUNS: usize = 5;
const RULES: usize = 20;

pub(crate) fn measure() -> Vec<Row> {
    let (world, sshd) = real_world("");
    let echo = targets::echo();
    for n in 0..RULES {
        let option = if n % 2 == 0 { "-L" } else { "-R" };
        let spec = format!("0:127.0.0.1:{}", echo.port());
        world.ctl(["add-forward", "prod", "--name", &format!("rule-{n}"), "--wait", option, &spec]).ok();
    }
    let mut watch = world.watch();
    let mut times = Vec::new();
    for _ in 0..RUNS {
        let killed = Instant::now();
        assert!(0 < sshd.kill_sessions());
        for state in ["suspended", "active"] {
            let mut left = RULES;
            let last = watch.until(&format!("all rules are {state}"), |event| {
                left -= usize::from(event["event"] == "forward_status" && event["to"] == state);
                left == 0
            });
            if state == "active" {
                times.push(last.at - killed);
            }
        }
        assert_echo(world.port("rule-0"));
    }
    let (middle, most) = (median(times.clone()), times.into_iter().max().unwrap_or_default());
    vec![Row::new(
        format!("SIGKILL of the server's session to all of {RULES} rules active, watched, {RUNS} runs"),
        "<= 2 s",
        format!("median {}, at most {}", ms(middle), ms(most)),
        most <= Duration::from_secs(2),
    )]
}
