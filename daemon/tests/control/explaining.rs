//! What the ssh configuration decides is answered beside the loop.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alknet_proto::explain::{FoundForward, Source, Taken, Verdict};
use alknet_proto::operation::PAGE;
use alknet_proto::{Code, Explanation, Operation, Output};
use alknetd::ssh::Settings;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::{Control, LIMIT};

/// The control plane, and somebody who answers with a home of the test's own.
struct Explaining {
    control: Control,
    answering: JoinHandle<()>,
}

impl Explaining {
    fn with(config: &str) -> Self {
        let mut control = Control::start();
        let home = control.place.path().to_owned();
        std::fs::create_dir(home.join(".ssh")).unwrap();
        std::fs::write(home.join(".ssh/config"), config).unwrap();
        let (_, settings) = watch::channel(Arc::new(settings(&home)));
        let questions = control.questions.take().unwrap();
        let answering = tokio::spawn(questions.run(settings, control.clients.clone()));
        Explaining { control, answering }
    }

    async fn explain(&self, destination: &str) -> Explanation {
        let asked = Operation::Explain(destination.parse().unwrap());
        match self.control.caller().await.call(asked, LIMIT).await {
            Ok(Output::Explanation(explanation)) => *explanation,
            other => panic!("not explained: {other:?}"),
        }
    }

    async fn find(&self, destinations: &[&str], skip: u32) -> (Vec<FoundForward>, bool) {
        let destinations = destinations.iter().map(|name| name.parse().unwrap()).collect();
        match self.control.caller().await.call(Operation::FindForwards { destinations, skip }, LIMIT).await {
            Ok(Output::FoundForwards { forwards, more }) => (forwards, more),
            other => panic!("not found: {other:?}"),
        }
    }
}

fn settings(home: &Path) -> Settings {
    Settings {
        global_known_hosts: Vec::new(),
        auth_sock: None,
        user: "me".to_owned(),
        ssh_config: home.join(".ssh/config"),
        global_ssh_config: home.join("etc/ssh_config"),
        home: home.to_owned(),
        ..Settings::from_environment().unwrap()
    }
}

fn shown(found: &[FoundForward]) -> Vec<String> {
    let show = |found: &FoundForward| {
        let Source::File { line, .. } = found.source else { panic!("{found:?} is of no file") };
        let taken = match &found.taken {
            Taken::Over(forwarding) => forwarding.to_string(),
            Taken::Not { why } => format!("not: {why}"),
        };
        format!("{}:{line} {taken}", found.destination)
    };
    found.iter().map(show).collect()
}

#[tokio::test]
async fn a_destination_is_explained_value_by_value_without_the_loop() {
    let explaining = Explaining::with("Host web\n  HostName web.example.org\n  User her\n  Port 2200\n");

    let explanation = explaining.explain("me@web").await;

    let of = |keyword: &str| {
        let setting = explanation.settings.iter().find(|setting| setting.keyword == keyword);
        setting.map(|setting| (setting.values.join(" "), setting.source.clone(), setting.verdict.clone()))
    };
    let path = explaining.control.place.path().join(".ssh/config").display().to_string();
    let line = |line| Source::File { path: path.clone(), line };
    assert_eq!(of("HostName"), Some(("web.example.org".to_owned(), line(2), Verdict::Honoured)));
    assert_eq!(of("User"), Some(("me".to_owned(), Source::Destination, Verdict::Honoured)));
    assert_eq!(of("Port"), Some(("2200".to_owned(), line(4), Verdict::Honoured)));
    let hop = explanation.hops.last().unwrap();
    assert_eq!((hop.user.as_str(), hop.host.as_str(), hop.port), ("me", "web.example.org", 2200));
    assert_eq!(explanation.files, [path]);
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_told_with_file_and_line() {
    let explaining = Explaining::with("Host web\n  Port zero\n");

    let asked = Operation::Explain("web".parse().unwrap());
    let fault = explaining.control.caller().await.call(asked, LIMIT).await.unwrap_err();

    assert_eq!(fault.code, Code::InvalidConfig);
    assert!(fault.message.contains(".ssh/config:2: "), "{}", fault.message);
}

#[tokio::test]
async fn forwards_are_found_in_every_host_that_is_no_pattern() {
    let explaining = Explaining::with(
        "Host web db\n  LocalForward 8080 localhost:80\nHost db\n  RemoteForward 9000\n  DynamicForward [::1]:1080\n\
         Host *.example.org\n  LocalForward 1 a:1\nHost odd\n  LocalForward http a:1\n  LocalForward /tmp/s /run/t\n",
    );

    let (found, more) = explaining.find(&[], 0).await;

    assert_eq!(
        shown(&found),
        [
            "web:2 -L 127.0.0.1:8080:localhost:80",
            "db:2 -L 127.0.0.1:8080:localhost:80",
            "db:4 -R 127.0.0.1:9000",
            "db:5 -D [::1]:1080",
            "odd:9 not: `http:a:1` has an impossible port `http`: 0 to 65535 are possible",
            "odd:10 -L /tmp/s:/run/t",
        ]
    );
    assert!(!more);
    assert_eq!(shown(&explaining.find(&["a.example.org"], 0).await.0), ["a.example.org:7 -L 127.0.0.1:1:a:1"]);
}

#[tokio::test]
async fn forwards_come_in_pages() {
    let lines: String = (0..300).map(|n| format!("  LocalForward {} a:1\n", 10_000 + n)).collect();
    let explaining = Explaining::with(&format!("Host web\n{lines}"));

    let (first, more) = explaining.find(&[], 0).await;
    let (second, no_more) = explaining.find(&[], 256).await;

    assert_eq!((first.len(), more, second.len(), no_more), (PAGE, true, 300 - PAGE, false));
    assert_eq!(shown(&second).last().map(String::as_str), Some("web:301 -L 127.0.0.1:10299:a:1"));
}

#[tokio::test]
async fn a_question_that_nobody_answers_any_more_fails_at_once() {
    let explaining = Explaining::with("");
    explaining.answering.abort();
    let caller = explaining.control.caller().await;

    let ended = tokio::time::timeout(LIMIT, async {
        loop {
            match caller.call(Operation::Explain("web".parse().unwrap()), Duration::from_millis(100)).await {
                Err(fault) if fault.code == Code::DaemonStopping => return,
                Err(_) | Ok(_) => tokio::task::yield_now().await,
            }
        }
    });

    assert!(ended.await.is_ok());
}

#[tokio::test]
async fn the_hosts_of_a_jump_are_named_also_where_something_is_refused() {
    let explaining = Explaining::with(
        "Host gate\n  HostName gate.example.org\n  User guard\nHost web\n  ProxyJump gate,last:2222\n  ProxyUseFdpass yes\n",
    );

    let explanation = explaining.explain("web").await;

    let hops: Vec<String> =
        explanation.hops.iter().map(|hop| format!("{}@{}:{}", hop.user, hop.host, hop.port)).collect();
    assert_eq!(hops, ["guard@gate.example.org:22", "me@last:2222", "me@web:22"]);
    assert_eq!(explanation.refusals().map(|setting| setting.keyword.as_str()).collect::<Vec<_>>(), ["ProxyUseFdpass"]);
    assert!(explanation.notices.is_empty(), "{:?}", explanation.notices);
}

#[tokio::test]
async fn a_configuration_that_no_answer_holds_is_refused_and_the_client_goes_on() {
    let lines: String = (0..8_000).map(|n| format!("  LocalForward {} {}:1\n", 10_000 + n, "a".repeat(120))).collect();
    let explaining = Explaining::with(&format!("Host web\n{lines}"));
    let caller = explaining.control.caller().await;

    let fault = caller.call(Operation::Explain("web".parse().unwrap()), LIMIT).await.unwrap_err();

    assert_eq!(fault.code, Code::InvalidConfig);
    assert_eq!(caller.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn a_mistake_of_one_host_hides_the_forwards_of_no_other() {
    let explaining = Explaining::with("Host web\n  HostName %q\nHost db\n  LocalForward 1 a:1\n");

    let (found, _) = explaining.find(&[], 0).await;

    assert!(matches!(&found[0].taken, Taken::Not { why } if why.contains("config:2: ")), "{found:?}");
    assert_eq!(shown(&found[1..]), ["db:4 -L 127.0.0.1:1:a:1"]);
    let asked = Operation::FindForwards { destinations: vec!["web".parse().unwrap()], skip: 0 };
    assert!(explaining.control.caller().await.call(asked, LIMIT).await.is_err());
}
