//! Clients that are slow, or too many, or ask for too much.

use std::time::Duration;

use alknet_core::Event;
use alknet_proto::connection::greet;
use alknet_proto::event::{ForwardRates, ForwardTraffic, Stats};
use alknet_proto::hello::Hello;
use alknet_proto::pending::Caller;
use alknet_proto::{Body, Code, Fault, ForwardId, ForwardStats, Operation, Output, StatusEvent, endpoint};
use alknetd::control::{
    Clients, Dispatcher, Explainer, Identity, MAX_CLIENTS, MAX_PENDING, OUTBOX, Scope, serve_stream,
};
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::harness::{Control, LIMIT, Raw, heartbeat, lagged, watch_all};

#[tokio::test]
async fn a_slow_watcher_is_marked_as_lagging_and_others_are_not() {
    let mut control = Control::start();
    let mut slow = Raw::connect(&control).await;
    slow.ask(1, watch_all()).await;
    let (slow_call, _) = control.requested().await;
    let brisk_caller = control.caller().await;
    let (mut brisk, brisk_call) = control.watching(&brisk_caller).await;

    // Far more than the outbox and the socket can hold.
    let n_events: u64 = 40_000;
    for seq in 1..=n_events {
        control.clients.publish(slow_call, heartbeat(seq));
        control.clients.publish(brisk_call, heartbeat(seq));
        assert_eq!(brisk.next().await, Some(Ok(Output::Event(heartbeat(seq)))));
    }

    let reading = tokio::spawn(async move {
        let mut seqs = Vec::new();
        loop {
            match slow.next().await.unwrap().body {
                Body::Responded(Output::Event(StatusEvent::Heartbeat(beat))) => seqs.push(beat.seq),
                Body::Responded(Output::Event(StatusEvent::Lagged(_))) => break,
                other => panic!("neither a heartbeat nor lagged: {other:?}"),
            }
        }
        (seqs, slow.next().await.unwrap().body)
    });
    assert_eq!(control.event().await, Event::CaughtUp(slow_call));
    control.clients.publish(slow_call, heartbeat(n_events + 1));
    control.clients.publish(slow_call, lagged(n_events + 1));
    control.clients.publish(slow_call, heartbeat(n_events + 2));

    let (seqs, behind) = reading.await.unwrap();
    let without_gap: Vec<u64> = (1..=seqs.len() as u64).collect();
    assert_eq!(seqs, without_gap);
    assert!(OUTBOX <= seqs.len() && seqs.len() < n_events as usize, "{} events were taken", seqs.len());
    assert_eq!(behind, Body::Responded(Output::Event(heartbeat(n_events + 2))));
}

#[tokio::test]
async fn a_client_that_does_not_read_its_replies_is_cut_off() {
    let begin = std::time::Instant::now();
    let mut control = Control::start();
    let mut slow = Raw::connect(&control).await;
    slow.ask(1, watch_all()).await;
    let (call, _) = control.requested().await;
    for seq in 1..=40_000 {
        control.clients.publish(call, heartbeat(seq));
        tokio::task::yield_now().await;
    }

    // Events that wait are no reason, replies are.
    for id in 0..=OUTBOX as u64 {
        slow.ask(3 + 2 * id, Operation::DaemonStatus).await;
        let (status, _) = control.requested().await;
        control.clients.reply(status, Ok(Output::Done));
    }

    assert_eq!(control.event().await, Event::ClientGone(call.client));
    assert!(begin.elapsed() < Duration::from_secs(8), "not because it takes nothing for 10 s");
}

/// A client over a stream in memory, so that time can be paused.
fn serve_in_memory(buffer_bytes: usize) -> (Raw<DuplexStream>, Clients, mpsc::Receiver<Event>, JoinHandle<()>) {
    let (ours, theirs) = tokio::io::duplex(buffer_bytes);
    let clients = Clients::default();
    let (inbox, events) = mpsc::channel(64);
    let owner = Identity::new("owner", &[Scope::Read, Scope::Control, Scope::Admin]);
    let outbox = clients.register().unwrap();
    let dispatcher = Dispatcher::new(clients.clone(), inbox, Explainer::new().0);
    let serving = tokio::spawn(serve_stream(theirs, owner, outbox, dispatcher));
    (Raw::over(ours), clients, events, serving)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_for_ten_seconds_is_cut_off() {
    let (mut raw, clients, mut events, serving) = serve_in_memory(512);
    greet(&mut raw.reader, &mut raw.writer, &Hello::new("raw", "1")).await.unwrap();
    raw.ask(1, watch_all()).await;
    let Some(Event::Requested { call, .. }) = events.recv().await else { panic!("no request") };

    let start = Instant::now();
    for seq in 0..100 {
        clients.publish(call, heartbeat(seq));
    }
    timeout(LIMIT, serving).await.unwrap().unwrap();

    assert_eq!(start.elapsed(), Duration::from_secs(10));
}

#[tokio::test]
async fn one_request_too_many_is_refused_and_the_others_go_on() {
    let mut control = Control::start();
    let mut raw = Raw::connect(&control).await;
    for n in 0..MAX_PENDING as u64 {
        raw.ask(2 * n + 1, Operation::DaemonStatus).await;
    }
    let (first, _) = control.requested().await;
    let one_more = 2 * MAX_PENDING as u64 + 1;

    raw.ask(one_more, Operation::DaemonStatus).await;

    assert_eq!(raw.fault().await, (one_more, Code::SessionLimit));
    control.clients.reply(first, Ok(Output::Done));
    assert_eq!(raw.next().await.unwrap().id, first.request);
    raw.ask(one_more, Operation::Ping).await;
    assert_eq!(raw.next().await.unwrap().body, Body::Responded(Output::Done));
}

#[tokio::test]
async fn one_client_too_many_is_refused_until_another_leaves() {
    let mut control = Control::start();
    let mut callers = Vec::new();
    for _ in 0..MAX_CLIENTS {
        callers.push(control.caller().await);
    }

    let stream = endpoint::connect(&control.socket).await.unwrap();
    let fault = Caller::open(stream, "alknetctl", "0.1.0").await.unwrap_err();
    assert_eq!(fault.code, Code::SessionLimit);
    callers.pop();
    assert!(matches!(control.event().await, Event::ClientGone(_)));

    assert_eq!(control.caller().await.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn a_client_that_does_not_listen_does_not_hold_up_the_end() {
    let mut control = Control::start();
    let mut slow = Raw::connect(&control).await;
    slow.ask(1, watch_all()).await;
    let (call, _) = control.requested().await;
    for seq in 1..=40_000 {
        control.clients.publish(call, heartbeat(seq));
        tokio::task::yield_now().await;
    }
    let start = Instant::now();

    control.stop.cancel();
    control.clients.close_all(Fault::new(Code::DaemonStopping, "the daemon is ending")).await;
    timeout(LIMIT, control.serving).await.unwrap().unwrap();

    assert!(start.elapsed() < Duration::from_secs(3), "it took {:?}", start.elapsed());
}

#[tokio::test]
async fn a_slow_watcher_keeps_nothing_waiting_and_its_rates_are_of_the_whole_time() {
    let (mut slow, clients, mut events, _serving) = serve_in_memory(64);
    greet(&mut slow.reader, &mut slow.writer, &Hello::new("raw", "1")).await.unwrap();
    slow.ask(1, watch_all()).await;
    let Some(Event::Requested { call, .. }) = events.recv().await else { panic!("the watch reaches the model") };
    clients.begin_rates(call, [(ForwardId(1), ForwardStats::default())].into());
    let figures = |bytes_sent: u64| {
        let stats = ForwardStats { bytes_sent, ..ForwardStats::default() };
        let rates = ForwardRates::default();
        let forward = ForwardTraffic { id: ForwardId(1), name: "web".parse().unwrap(), stats, rates };
        let at = jiff::Timestamp::UNIX_EPOCH;
        StatusEvent::Stats(Stats { at, forwards: vec![forward], interval_seconds: 0.0 })
    };

    let n_pushed = 20_000;
    for nth in 1..=n_pushed {
        clients.publish(call, figures(nth * 1_000_000));
        tokio::task::yield_now().await;
    }
    let (mut n_told, mut by_rates, mut last) = (0, 0.0, 0);
    while last < (n_pushed + 1) * 1_000_000 {
        let Body::Responded(Output::Event(StatusEvent::Stats(stats))) = slow.next().await.unwrap().body else {
            panic!("neither lagged nor anything else");
        };
        by_rates += stats.forwards[0].rates.bytes_sent_per_second as f64 * stats.interval_seconds;
        (n_told, last) = (n_told + 1, stats.forwards[0].stats.bytes_sent);
        clients.publish(call, figures((n_pushed + 1) * 1_000_000));
    }

    assert!(n_told < 6, "{n_told} of {n_pushed} waited for it");
    assert!((by_rates - last as f64).abs() < 1000.0, "{by_rates} by the rates, {last} by the figures");
}
