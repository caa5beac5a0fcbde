//! What to do about it: the only thing that comes out of the model.

use alknet_proto::{Code, Destination, Fault, ForwardId, Forwarding, OnSuspend, Output, StatusEvent};

use crate::event::{Call, Epoch};
use crate::rules::SavedRules;

/// One thing to do. None of them waits: what comes of it is an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Start to listen; answered by `ListenerBound` or `ListenerRefused`.
    Listen(Listen),
    /// Close a listener; answered by `ListenerClosed`.
    Close {
        /// Whose listener.
        forward: ForwardId,
        /// Which attempt to listen.
        epoch: Epoch,
        /// Reset its connections too. Otherwise they go on.
        cut: bool,
    },
    /// Start an attempt; answered by `Connected` or `Lost`.
    Connect {
        /// Where to.
        destination: Destination,
        /// The number of the attempt.
        epoch: Epoch,
        /// Store the host key of a server that is not known yet.
        accept_new: bool,
    },
    /// Ask the server of a session that is logged in whether it is still there; answered by `Lost` if it is not.
    Probe {
        /// Where it goes.
        destination: Destination,
        /// The number of the attempt.
        epoch: Epoch,
    },
    /// A link takes nothing new from now on.
    Retire {
        /// Where it goes.
        destination: Destination,
        /// The number of its attempt.
        epoch: Epoch,
    },
    /// Tell connections whether asking for a further link helps, see [`crate::Event::Crowded`].
    Growth {
        /// Where they go.
        destination: Destination,
        /// Whether there may be one more, or one is on its way.
        may_grow: bool,
    },
    /// Tell connections whether the session comes back by itself: without, none waits for it.
    Hope {
        /// Where they go.
        destination: Destination,
        /// It does not come back before a person acts, or what it failed for is mended.
        has_failed: bool,
    },
    /// End an attempt or a session. Its `Lost` may still come and changes nothing.
    Disconnect {
        /// Where it goes.
        destination: Destination,
        /// The number of the attempt.
        epoch: Epoch,
    },
    /// Write the rules to disk; answered by `Saved` or `NotSaved`. The latest revision wins.
    Save(SavedRules),
    /// Answer a request, once.
    Reply {
        /// Which request.
        call: Call,
        /// What the answer is. Counters are zero here; who performs the action fills them in.
        result: Result<Output, Fault>,
    },
    /// Tell a subscriber something.
    Publish {
        /// Which subscription.
        call: Call,
        /// What.
        event: StatusEvent,
    },
    /// Keep the counters of every forward as they are now: the first rates that this subscriber is told are of the time
    /// from here on.
    BeginRates(Call),
    /// Write a change into the log. Comes once for every change, whoever watches.
    Log(StatusEvent),
    /// A forward is gone for good: nobody asks for its counters again.
    ForgetForward(ForwardId),
    /// No forward goes to this destination any more: nobody asks for its counters again.
    ForgetSession(Destination),
    /// Let an attempt go on to the server that it knocked for.
    Admit {
        /// Where it goes.
        destination: Destination,
        /// The number of the attempt.
        epoch: Epoch,
    },
    /// Reset what connections of a forward are left on links that its listener moved away from, and all others.
    Cut(ForwardId),
    /// Look out for a change of what a final failure may be due to; answered by `Mended`, once.
    LookOut {
        /// Where it went.
        destination: Destination,
        /// The number of the attempt that failed.
        epoch: Epoch,
        /// How it failed: says what may mend it.
        code: Code,
    },
    /// End the look-out for this destination.
    LookAway(Destination),
    /// End the daemon in order: no new connections, a grace time for the open ones, goodbye to the servers.
    Stop,
}

/// How to listen for one forward.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Whose listener.
    pub forward: ForwardId,
    /// The number of this attempt to listen.
    pub epoch: Epoch,
    /// Whose session carries the connections.
    pub destination: Destination,
    /// What listens, and what its connections are connected to.
    pub forwarding: Forwarding,
    /// The port to try first where a free one was asked for: the one that it had before.
    pub earlier_port: Option<u16>,
    /// What happens to a connection while the session is down.
    pub on_suspend: OnSuspend,
    /// Tell when the first connection comes and when the last one ends.
    pub tells_use: bool,
    /// For a remote forward, the attempt whose session it is asked on.
    pub on_session: Option<Epoch>,
    /// When the port is held by a dead session of this rule, end that one's process on the server.
    pub reclaim: bool,
}
