//! ssh and alknetd beside each other: the same rules, the same server, the same targets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard};

use alknet_tests::content::Content;
use alknet_tests::ports::free_port;
use alknet_tests::process::Process;
use alknet_tests::runtime::{block_on, runtime};
use alknet_tests::wait::{LIMIT, wait_until};
use alknet_tests::{Sshd, World, openssh};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::either::Either;

use crate::script::{Actor, Event, Step, Stream, Together};
use crate::way::{Door, Places, Rule, Way};

/// What both ends do, on which ways, and what may differ.
pub(crate) struct Case {
    /// A sentence of what holds.
    pub(crate) name: &'static str,
    pub(crate) ways: &'static [Way],
    /// So many of them at once.
    pub(crate) at_once: usize,
    pub(crate) client: &'static [Step],
    /// `None` where no connection may come to the target.
    pub(crate) target: Option<&'static [Step]>,
    pub(crate) expect: Expect,
    /// The session is cut when sign 0 was given so many times.
    pub(crate) cut_after: Option<u32>,
}

/// How what is seen through alknet relates to what is seen through ssh.
pub(crate) enum Expect {
    Same,
    /// alknet tells the truth where ssh does not.
    Better {
        /// One of these is seen through ssh.
        ssh: &'static [&'static str],
        alknet: &'static str,
    },
}

impl Case {
    /// A case whose both ends see the same through both programs.
    pub(crate) const fn same(
        name: &'static str,
        ways: &'static [Way],
        client: &'static [Step],
        target: &'static [Step],
    ) -> Self {
        Case { name, ways, at_once: 1, client, target: Some(target), expect: Expect::Same, cut_after: None }
    }

    /// A case in which nobody may come to the target.
    pub(crate) const fn alone(name: &'static str, ways: &'static [Way], client: &'static [Step]) -> Self {
        Case { name, ways, at_once: 1, client, target: None, expect: Expect::Same, cut_after: None }
    }

    /// Alknet does better than ssh here.
    pub(crate) const fn better(mut self, ssh: &'static [&'static str], alknet: &'static str) -> Self {
        self.expect = Expect::Better { ssh, alknet };
        self
    }

    pub(crate) const fn at_once(mut self, count: usize) -> Self {
        self.at_once = count;
        self
    }

    pub(crate) const fn cut_after(mut self, n_signs: u32) -> Self {
        self.cut_after = Some(n_signs);
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Program {
    Ssh,
    Alknet,
}

/// What the ends of all connections of one run saw.
#[derive(Debug, Default, PartialEq, Eq)]
struct Record {
    clients: Vec<Vec<Event>>,
    targets: Vec<Vec<Event>>,
}

impl Record {
    /// As text, without checksums; equal ones are counted.
    fn text(&self) -> String {
        let side = |ends: &[Vec<Event>]| {
            let mut counts = BTreeMap::<String, usize>::new();
            for events in ends {
                let events: Vec<String> = events.iter().map(Event::to_string).collect();
                *counts.entry(events.join(", ")).or_default() += 1;
            }
            let each = counts.into_iter().map(|(text, n)| if n == 1 { text } else { format!("{n} x ({text})") });
            each.collect::<Vec<_>>().join("; ")
        };
        format!("{} | {}", side(&self.clients), side(&self.targets))
    }
}

/// Runs cases. Dropping it ends everything.
pub(crate) struct Stage {
    world: World,
    sshd: Arc<Sshd>,
    ssh: Mutex<Option<Process>>,
    ssh_doors: Vec<Door>,
    alknet_doors: Vec<Door>,
    places: Places,
    tcp: TcpListener,
    tcp_v6: TcpListener,
    unix: UnixListener,
    is_cut: Arc<AtomicBool>,
}

impl Stage {
    /// Starts both programs with all rules.
    pub(crate) fn set() -> Self {
        let world = World::new();
        let sshd = Arc::new(Sshd::start(&world, "prod"));
        world.start();
        let path = world.path("target.sock");
        let (tcp, tcp_v6, unix) = block_on(async {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let tcp_v6 = TcpListener::bind("[::1]:0").await.unwrap();
            (tcp, tcp_v6, UnixListener::bind(&path).unwrap())
        });
        let places = Places {
            port: tcp.local_addr().unwrap().port(),
            port_v6: tcp_v6.local_addr().unwrap().port(),
            path,
            closed_port: free_port(),
        };
        let doors = |program: &str| -> Vec<Door> {
            let path = |n: usize| world.path(format!("{program}-{n}.sock"));
            Rule::ALL.iter().enumerate().map(|(n, rule)| Door::free(*rule, path(n))).collect()
        };
        let (ssh_doors, alknet_doors) = (doors("ssh"), doors("alknet"));
        let stage = Stage {
            world,
            sshd,
            ssh: Mutex::new(None),
            ssh_doors,
            alknet_doors,
            places,
            tcp,
            tcp_v6,
            unix,
            is_cut: Arc::new(AtomicBool::new(false)),
        };
        let mut add = vec!["add-forward".to_owned(), "prod".to_owned(), "--wait".to_owned()];
        add.extend(stage.options(&stage.alknet_doors));
        stage.world.ctl(&add).ok();
        stage.start_ssh();
        stage
    }

    /// Runs every case on every way through both programs and compares what was seen.
    ///
    /// # Panics
    /// With all that differs.
    #[track_caller]
    pub(crate) fn compare_all(&self, cases: &[Case]) {
        let mut wrong = String::new();
        for case in cases {
            for way in case.ways {
                let ssh = self.run(case, *way, Program::Ssh);
                let alknet = self.run(case, *way, Program::Alknet);
                println!("{}, {way:?}:\n  ssh:    {}\n  alknet: {}", case.name, ssh.text(), alknet.text());
                let is_right = match case.expect {
                    Expect::Same => ssh == alknet,
                    Expect::Better { ssh: seen, alknet: wanted } => {
                        seen.contains(&ssh.text().as_str()) && alknet.text() == wanted
                    }
                };
                if !is_right {
                    let (ssh, alknet) = (shown(case, &ssh), shown(case, &alknet));
                    writeln!(wrong, "{}, {way:?}:\n  ssh:    {ssh}\n  alknet: {alknet}", case.name).unwrap();
                }
            }
        }
        assert!(wrong.is_empty(), "not as expected:\n{wrong}");
    }

    fn run(&self, case: &Case, way: Way, program: Program) -> Record {
        self.recover();
        let doors = match program {
            Program::Ssh => &self.ssh_doors,
            Program::Alknet => &self.alknet_doors,
        };
        let index = Rule::ALL.iter().position(|rule| *rule == way.rule()).expect("every rule is in the list");
        let door = doors[index].clone();
        let together = Together::new(self.session_cutter());
        block_on(async {
            let mut clients = JoinSet::new();
            for n in 0..case.at_once {
                let client = client(door.clone(), way, self.places.clone(), case.client, n, together.clone());
                clients.spawn_on(client, runtime());
            }
            if let Some(n_signs) = case.cut_after {
                let together = together.clone();
                runtime().spawn(async move { together.cut_after(n_signs).await });
            }
            let mut record = Record::default();
            if let Some(steps) = case.target {
                let mut targets = JoinSet::new();
                for _ in 0..case.at_once {
                    let Ok(stream) = timeout(LIMIT, self.accept(way)).await else { break };
                    let together = together.clone();
                    targets.spawn_on(async move { target(stream, steps, &together).await }, runtime());
                }
                record.targets = targets.join_all().await;
            }
            record.clients = clients.join_all().await;
            if case.target.is_none() {
                // Whoever came has come by now, since the client was told of its end.
                tokio::select! {
                    biased;
                    _ = self.accept(way) => record.targets.push(vec![Event::Connected]),
                    () = std::future::ready(()) => {}
                }
            }
            record.clients.sort_unstable();
            record.targets.sort_unstable();
            record
        })
    }

    /// The next connection to the target on this way.
    async fn accept(&self, way: Way) -> Stream {
        let is_v6 = matches!(way, Way::Dynamic(ask) | Way::RemoteDynamic(ask) if ask.is_v6());
        let listener = if is_v6 { &self.tcp_v6 } else { &self.tcp };
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                stream.set_nodelay(true).unwrap();
                Either::Left(stream)
            }
            accepted = self.unix.accept() => Either::Right(accepted.unwrap().0),
        }
    }

    fn session_cutter(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (sshd, is_cut) = (self.sshd.clone(), self.is_cut.clone());
        Arc::new(move || {
            is_cut.store(true, SeqCst);
            assert!(0 < sshd.kill_sessions());
        })
    }

    /// After a session was cut, both programs get new ones.
    fn recover(&self) {
        if !self.is_cut.swap(false, SeqCst) {
            return;
        }
        if let Some(mut ssh) = self.lock_ssh().take() {
            ssh.wait(LIMIT);
        }
        // After so many losses alknet takes its time, unless it is told.
        wait_until("alknet connects again", || {
            if self.world.session("prod")["state"] == "suspended" {
                self.world.ctl(["retry", "prod"]).ok();
            }
            !self.sshd.session_pids().is_empty()
        });
        self.start_ssh();
        self.world.ctl(["wait", "--all", "--for", "active", "--timeout", "20"]).ok();
    }

    fn start_ssh(&self) {
        let last = self.ssh_doors.last().expect("there are rules").clone();
        let is_open = || block_on(last.enter()).is_some();
        let mut options = vec!["-oStreamLocalBindUnlink=yes".to_owned()];
        options.extend(self.options(&self.ssh_doors));
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        *self.lock_ssh() = Some(openssh::forward(&self.world, "prod", &options, is_open));
    }

    fn options(&self, doors: &[Door]) -> Vec<String> {
        Rule::ALL.iter().zip(doors).flat_map(|(rule, door)| door.option(*rule, &self.places)).collect()
    }

    fn lock_ssh(&self) -> MutexGuard<'_, Option<Process>> {
        self.ssh.lock().unwrap()
    }
}

/// With checksums only where they are what differs.
fn shown(case: &Case, record: &Record) -> String {
    match case.expect {
        Expect::Same => format!("{}\n            {record:?}", record.text()),
        Expect::Better { .. } => record.text(),
    }
}

async fn client(door: Door, way: Way, places: Places, steps: &[Step], n: usize, together: Together) -> Vec<Event> {
    let Some(mut stream) = door.enter().await else { return vec![Event::NotConnected] };
    let mut events = vec![Event::Connected];
    let mut content = Content::new(10 + n as u64);
    match way.ask(&mut stream, &places, &mut content).await {
        Ok(answer) => events.extend(answer),
        Err(error) => {
            let is_end = error.kind() == io::ErrorKind::UnexpectedEof;
            events.push(if is_end { Event::End } else { Event::Reset });
            return events;
        }
    }
    Actor::new(stream, content, events).play(steps, &together).await
}

async fn target(stream: Stream, steps: &[Step], together: &Together) -> Vec<Event> {
    Actor::new(stream, Content::new(1), vec![Event::Connected]).play(steps, together).await
}
