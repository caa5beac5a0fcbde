//! What the ssh configuration comes to: as a table, and compared with ssh itself.

mod files;
mod openssh;
mod readme;
mod values;

use std::path::{Path, PathBuf};
use std::time::Duration;

use alknet_proto::{Code, Reason};
use tempfile::TempDir;

use super::{Server, resolve};
use crate::ssh::settings::{Settings, SshOptions};

/// A home with a configuration in it.
struct World {
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let world = World { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(world.at(".ssh")).unwrap();
        world
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        std::fs::write(self.at(name), text).unwrap();
    }

    fn settings(&self) -> Settings {
        Settings {
            home: self.folder.path().to_owned(),
            global_known_hosts: vec![self.at("etc/ssh_known_hosts")],
            keepalive_interval: Duration::from_secs(15),
            keepalive_count: 3,
            renew_after_bytes: u64::MAX,
            renew_after: Duration::MAX,
            busy_channels: 10,
            auth_sock: Some(PathBuf::from("/agent")),
            user: "me".to_owned(),
            ssh_config: self.at(".ssh/config"),
            global_ssh_config: self.at("etc/ssh_config"),
            ssh_options: SshOptions::default(),
        }
    }

    fn resolve(&self, destination: &str) -> Result<Server, Reason> {
        resolve(&destination.parse().unwrap(), &self.settings()).1
    }

    /// The server of `destination` when the configuration is `text`.
    fn server(&self, text: &str, destination: &str) -> Server {
        self.write(".ssh/config", text);
        self.resolve(destination).unwrap_or_else(|reason| panic!("{text}\n{reason}"))
    }

    /// What is wrong with the configuration `text`.
    fn mistake(&self, text: &str) -> String {
        self.write(".ssh/config", text);
        let reason = self.resolve("web").expect_err(text);
        assert_eq!(reason.code, Code::InvalidConfig, "{reason}");
        reason.message
    }
}

/// A path as it stands in a configuration.
fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
