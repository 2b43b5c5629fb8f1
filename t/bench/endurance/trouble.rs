//! What happens to the daemon meanwhile: workers are killed, the configuration is reloaded, the program is replaced, the disk is gone.
//!
//! Must never: kill anything but a worker of the daemon.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::Wish;
use super::books::Books;
use super::daemon::Daemon;
use super::harness::hop::Luck;

const KILLED_EVERY: Duration = Duration::from_millis(50);
const RELOADED_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Done {
    pub killed: usize,
    pub reloads: usize,
    /// What the program said when it did not; those while the disk was gone are counted only.
    pub failed_reloads: Vec<String>,
    pub reloads_without_disk: usize,
    pub upgrade: Option<Result<String, String>>,
    pub disk: Option<(Duration, &'static str)>,
}

pub struct Trouble {
    is_over: Arc<AtomicBool>,
    killer: JoinHandle<usize>,
    keeper: JoinHandle<Done>,
}

impl Trouble {
    pub fn start(wish: Wish, daemon: &Arc<Daemon>, books: &Arc<Books>) -> Trouble {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, victim) = (Arc::clone(&is_over), Arc::clone(daemon));
        let killer = thread::spawn(move || kill_workers(&victim, &over));
        let keeper = Keeper {
            wish,
            daemon: Arc::clone(daemon),
            books: Arc::clone(books),
            is_over: Arc::clone(&is_over),
            done: Done::default(),
            disk: Disk::There,
        };
        Trouble {
            is_over,
            killer,
            keeper: thread::spawn(move || keeper.run()),
        }
    }

    pub fn end(self) -> Done {
        self.is_over.store(true, Ordering::Relaxed);
        let killed = self.killer.join().expect("no panic");
        let done = self.keeper.join().expect("no panic");
        Done { killed, ..done }
    }
}

fn kill_workers(daemon: &Daemon, is_over: &AtomicBool) -> usize {
    let mut luck = Luck(7);
    let mut killed = 0;
    while !is_over.load(Ordering::Relaxed) {
        thread::sleep(KILLED_EVERY);
        let workers = daemon.workers();
        let pick = usize::try_from(luck.below(1000)).unwrap_or(0) % workers.len().max(1);
        let signal = match luck.below(2) {
            0 => Signal::SIGKILL,
            _ => Signal::SIGSEGV,
        };
        killed += workers
            .get(pick)
            .map_or(0, |worker| usize::from(kill(*worker, signal).is_ok()));
    }
    killed
}

enum Disk {
    There,
    Gone(Instant),
    Back,
}

/// Reloads, upgrades and takes the disk away, one after the other.
struct Keeper {
    wish: Wish,
    daemon: Arc<Daemon>,
    books: Arc<Books>,
    is_over: Arc<AtomicBool>,
    done: Done,
    disk: Disk,
}

impl Keeper {
    fn run(mut self) -> Done {
        let mut last_reload = Instant::now();
        while !self.is_over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20));
            self.disk();
            // Without its directories no new master takes over.
            let may_upgrade = self.daemon.is_mounted || !matches!(self.disk, Disk::Gone(_));
            let is_due = self.books.progress() >= self.wish.mails / 2;
            if self.done.upgrade.is_none() && is_due && may_upgrade {
                self.done.upgrade = Some(self.upgrade());
            }
            if last_reload.elapsed() >= RELOADED_EVERY {
                last_reload = Instant::now();
                self.reload();
            }
        }
        if let Disk::Gone(_) = self.disk {
            self.give_disk_back();
        }
        if self.done.upgrade.is_none() {
            self.done.upgrade = Some(self.upgrade());
        }
        self.done
    }

    fn reload(&mut self) {
        let number = self.done.reloads + self.done.reloads_without_disk + 1;
        self.daemon.configure(number);
        let ran = self.daemon.command("reload", &[]);
        match (ran.code, &self.disk) {
            (0, _) => self.done.reloads += 1,
            (_, Disk::Gone(_)) => self.done.reloads_without_disk += 1,
            _ => self.done.failed_reloads.push(ran.err),
        }
    }

    /// The program is replaced by another copy, as a package does it.
    fn upgrade(&self) -> Result<String, String> {
        let before = self.daemon.pid();
        self.daemon.put_program();
        let ran = self.daemon.command("upgrade", &[]);
        if ran.code != 0 {
            return Err(ran.err);
        }
        match (before, self.daemon.pid()) {
            (Some(before), Some(after)) if before != after => {
                Ok(format!("master {before} became {after}"))
            }
            pids => Err(format!(
                "it says that all is well, and the masters are {pids:?}"
            )),
        }
    }

    fn disk(&mut self) {
        match self.disk {
            Disk::There
                if self.wish.disk > 0 && self.books.progress() >= self.wish.mails / 10 * 3 =>
            {
                self.books.disk_is_gone(true);
                let how = match self.daemon.is_mounted {
                    true => self.fill(),
                    false => fs::rename(self.place(), self.aside()).map(|()| "moved away"),
                };
                self.done.disk = Some((Duration::ZERO, how.expect("a disk that can be lost")));
                self.disk = Disk::Gone(Instant::now());
            }
            Disk::Gone(since) if since.elapsed().as_secs() >= self.wish.disk => {
                self.give_disk_back()
            }
            _ => {}
        }
    }

    fn give_disk_back(&mut self) {
        let back = match self.daemon.is_mounted {
            true => fs::remove_file(self.place().join("filler")),
            false => fs::rename(self.aside(), self.place()),
        };
        back.expect("a disk that comes back");
        self.books.disk_is_gone(false);
        if let (Disk::Gone(since), Some((time, _))) = (&self.disk, &mut self.done.disk) {
            *time = since.elapsed();
        }
        self.disk = Disk::Back;
    }

    /// To the last block: even a small file finds no room.
    fn fill(&self) -> io::Result<&'static str> {
        let mut filler = File::create(self.place().join("filler"))?;
        let block = vec![0; 1 << 20];
        for size in [1 << 20, 4096, 1] {
            while filler.write_all(&block[..size]).is_ok() {}
        }
        Ok("full")
    }

    fn place(&self) -> PathBuf {
        self.daemon.path().join("disk")
    }

    fn aside(&self) -> PathBuf {
        self.daemon.path().join("disk.gone")
    }
}
