//! HAProxy as a relay of TCP: what passing octets on costs a program that looks at none of them.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::harness::Directory;

/// Stopped when it goes out of scope.
pub struct HaProxy {
    child: Child,
    pub address: SocketAddr,
    directory: Directory,
}

impl HaProxy {
    /// As Debian has it, with its own number of threads, on a socket that is bound here.
    pub fn start(next_hop: SocketAddr) -> HaProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port for HAProxy");
        let address = listener.local_addr().expect("an address");
        let directory = Directory::new();
        let configuration = format!(
            "global\n  maxconn 500\ndefaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1m\n  timeout server 1m\n\
             listen relay\n  bind fd@3\n  server sink {next_hop}\n"
        );
        directory.file("haproxy.cfg", configuration);
        let stderr = fs::File::create(directory.path().join("stderr")).expect("a file");
        let child = Command::new("/bin/sh")
            .args([
                "-c",
                "exec 3<&0 </dev/null\nexec haproxy -db -f haproxy.cfg",
            ])
            .current_dir(directory.path())
            .stdin(Stdio::from(OwnedFd::from(listener)))
            .stdout(Stdio::null())
            .stderr(stderr)
            .spawn()
            .expect("a shell");
        let mut proxy = HaProxy {
            child,
            address,
            directory,
        };
        proxy.greets();
        proxy
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// Waits until the sink's greeting comes through it.
    fn greets(&mut self) {
        let deadline = Duration::from_secs(10);
        let stream = TcpStream::connect(self.address).expect("its socket is bound");
        stream
            .set_read_timeout(Some(deadline))
            .expect("a socket of ours");
        let began = Instant::now();
        let greeted = std::io::Read::read(&mut &stream, &mut [0; 64]);
        let status = self.child.try_wait();
        assert!(
            matches!(greeted, Ok(1..)) && began.elapsed() < deadline,
            "HAProxy does not relay: {greeted:?}, {status:?}; {}",
            fs::read_to_string(self.directory.path().join("stderr")).unwrap_or_default()
        );
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
