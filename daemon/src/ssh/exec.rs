//! Runs one short command on the server and reads what it prints.

use std::time::Duration;

use alknet_proto::Target;
use alknet_proto::fault::one_line;
use russh::ChannelMsg;

use super::link::Link;

/// How long a command may take, its start included.
const EXEC_TIMEOUT: Duration = Duration::from_secs(8);
/// What is read of it; the rest is thrown away.
const MAX_OUTPUT_BYTES: usize = 16 * 1024;

impl Link {
    /// Runs `command` as the user who is logged in, and returns what it printed, at most 16 KiB.
    ///
    /// Waits at most 8 s. Dropping the future closes the channel, which ends the command's input and output.
    ///
    /// # Errors
    /// Why there is nothing, as words that complete «because»: the server runs no commands, or it took too long.
    pub(super) async fn run_command(&self, command: &str) -> Result<String, String> {
        let running = async {
            tokio::select! {
                biased;
                () = self.over().cancelled() => Err("the session ended".to_owned()),
                output = self.output_of(command) => output,
            }
        };
        match tokio::time::timeout(EXEC_TIMEOUT, running).await {
            Ok(output) => output,
            Err(_) => Err(format!("the server did not run a command within {} s", EXEC_TIMEOUT.as_secs())),
        }
    }

    async fn output_of(&self, command: &str) -> Result<String, String> {
        let mut channel = match self.open_session().await {
            Ok(channel) => channel,
            Err(why) => return Err(why),
        };
        let id = channel.id();
        let output = async {
            channel.exec(true, command.as_bytes()).await.map_err(|_| "the session ended".to_owned())?;
            let mut output = Vec::new();
            // Everything is read, also what is not kept: a channel that nobody reads holds up the session.
            while let Some(message) = channel.wait().await {
                match message {
                    ChannelMsg::Data { data } => {
                        let room = MAX_OUTPUT_BYTES.saturating_sub(output.len());
                        output.extend_from_slice(&data[..room.min(data.len())]);
                    }
                    ChannelMsg::Failure => return Err("the server does not run commands for this login".to_owned()),
                    ChannelMsg::Close => break,
                    // What is said on the side, and the end of the output, before the close.
                    _ => {}
                }
            }
            Ok(String::from_utf8_lossy(&output).into_owned())
        };
        let output = output.await;
        self.session.forget_channel(id);
        output
    }

    async fn open_session(&self) -> Result<russh::Channel<russh::client::Msg>, String> {
        // Descriptions of refusals are brought together with opens by target; this open is of none.
        let target = Target::Unix(String::new());
        let openings = &self.session.openings;
        openings.begin(&target);
        let opened = match self.open_session_channel().await {
            Ok(channel) => Ok(channel),
            Err(russh::Error::ChannelOpenFailure(_)) => {
                let said = one_line(&openings.description(&target).await);
                let said = if said.is_empty() { said } else { format!(" (`{said}`)") };
                Err(format!("the server opens no channel for commands{said}"))
            }
            Err(_) => Err("the session ended".to_owned()),
        };
        openings.answered(&target);
        opened
    }
}
