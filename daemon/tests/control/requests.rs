//! What is asked, answered, watched and taken back.

use std::time::Duration;

use alknet_core::{Call, ClientId, Event};
use alknet_proto::envelope::Request;
use alknet_proto::{Body, Code, Envelope, Fault, Operation, Output, RequestId};
use alknetd::control::{Clients, Dispatcher, Explainer, Identity, Peer, Scope};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::harness::{Control, LIMIT, heartbeat, watch_all};

#[tokio::test]
async fn a_ping_is_answered_without_the_loop() {
    let control = Control::start();
    assert_eq!(control.caller().await.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn a_request_reaches_the_loop_and_its_reply_the_client() {
    let mut control = Control::start();
    let caller = control.caller().await;

    let clients = control.clients.clone();
    let daemon_side = async {
        let (call, operation) = control.requested().await;
        assert_eq!(operation, Operation::RetrySessions(Vec::new()));
        clients.reply(call, Ok(Output::Destinations(Vec::new())));
        clients.reply(call, Ok(Output::Done));
    };
    let (called, ()) = tokio::join!(caller.call(Operation::RetrySessions(Vec::new()), LIMIT), daemon_side);

    assert_eq!(called, Ok(Output::Destinations(Vec::new())));
    assert_eq!(caller.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn two_requests_run_side_by_side_and_an_abort_is_read_meanwhile() {
    let mut control = Control::start();
    let caller = control.caller().await;

    let first = tokio::spawn({
        let caller = caller.clone();
        async move { caller.call(Operation::Shutdown, LIMIT).await }
    });
    let (first_call, _) = control.requested().await;
    assert!(caller.call(Operation::DaemonStatus, Duration::from_millis(50)).await.is_err());
    let (second_call, _) = control.requested().await;
    assert_eq!(control.event().await, Event::Aborted(second_call));
    control.clients.reply(second_call, Ok(Output::Done));
    control.clients.reply(first_call, Ok(Output::Done));

    assert_eq!(first.await.unwrap(), Ok(Output::Done));
}

#[tokio::test]
async fn an_aborted_subscription_is_told_to_the_loop_and_gets_nothing_more() {
    let mut control = Control::start();
    let caller = control.caller().await;
    let (mut watch, call) = control.watching(&caller).await;
    control.clients.publish(call, heartbeat(1));
    assert_eq!(watch.next().await, Some(Ok(Output::Event(heartbeat(1)))));

    drop(watch);

    assert_eq!(control.event().await, Event::Aborted(call));
    control.clients.publish(call, heartbeat(2));
    assert_eq!(caller.call(Operation::Ping, LIMIT).await, Ok(Output::Done));
}

#[tokio::test]
async fn a_client_that_goes_away_is_gone_once() {
    let mut control = Control::start();
    let caller = control.caller().await;
    let (watch, call) = control.watching(&caller).await;

    drop((watch, caller));

    assert_eq!(control.event().await, Event::Aborted(call));
    assert_eq!(control.event().await, Event::ClientGone(call.client));
}

#[tokio::test]
async fn the_end_of_the_daemon_is_told_to_everything_that_is_open() {
    let mut control = Control::start();
    let caller = control.caller().await;
    let (mut watch, _) = control.watching(&caller).await;
    let call = tokio::spawn({
        let caller = caller.clone();
        async move { caller.call(Operation::DaemonStatus, LIMIT).await }
    });
    control.requested().await;
    let ending = Fault::new(Code::DaemonStopping, "the daemon is ending");

    control.stop.cancel();
    control.clients.close_all(ending.clone()).await;

    assert_eq!(watch.next().await, Some(Err(ending.clone())));
    assert_eq!(call.await.unwrap(), Err(ending.clone()));
    timeout(LIMIT, control.serving).await.unwrap().unwrap();
    assert!(!control.socket.exists());
    assert_eq!(control.clients.register().unwrap_err(), ending);
}

#[tokio::test]
async fn the_dispatcher_needs_no_socket() {
    let clients = Clients::default();
    let (inbox, mut events) = mpsc::channel(8);
    let dispatcher = Dispatcher::new(clients.clone(), inbox, Explainer::new().0);
    let mut outbox = clients.register().unwrap();
    let reader = Peer { client: outbox.client(), identity: Identity::new("reader", &[Scope::Read]) };
    let request = |operation| Request { operation, timeout_ms: Some(1500) };
    let call = Call { client: outbox.client(), request: RequestId(3) };

    dispatcher.dispatch_requested(&reader, RequestId(1), request(Operation::Shutdown)).await;
    dispatcher.dispatch_requested(&reader, RequestId(3), request(watch_all())).await;
    dispatcher.handle_abort(call).await;
    dispatcher.handle_abort(call).await;

    match outbox.try_next() {
        Some(Envelope { id: RequestId(1), body: Body::Error(fault) }) => assert_eq!(fault.code, Code::Forbidden),
        other => panic!("not refused: {other:?}"),
    }
    let timeout = Duration::from_millis(1500);
    assert_eq!(events.try_recv(), Ok(Event::Requested { call, operation: watch_all(), timeout }));
    assert_eq!(events.try_recv(), Ok(Event::Aborted(call)));
    assert!(events.try_recv().is_err());
    assert_eq!(outbox.client(), ClientId(1));
}

#[tokio::test]
async fn a_client_sees_the_operations_that_it_may_call() {
    let control = Control::start();
    let caller = control.caller().await;

    let Ok(Output::Services(services)) = caller.call(Operation::ListServices, LIMIT).await else {
        panic!("services/list was not answered")
    };
    for service in &services {
        let schema = caller.call(Operation::ServiceSchema(service.name.clone()), LIMIT).await;
        assert!(matches!(schema, Ok(Output::Schema(_))), "{}: {schema:?}", service.name);
    }

    assert_eq!(services.len(), 21);
    let unknown = caller.call(Operation::ServiceSchema("forwards/fly".to_owned()), LIMIT).await;
    assert_eq!(unknown.unwrap_err().code, Code::NotFound);
}
