//! A control group of version 1 for one test, removed with it.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

/// The group.
pub struct ControlGroup(PathBuf);

static MADE: AtomicU32 = AtomicU32::new(0);

impl ControlGroup {
    /// One below our own, of this controller; `None`, with the reason said, where that is not to
    /// be had.
    pub fn new(controller: &str) -> Option<ControlGroup> {
        let group = ControlGroup::make(controller);
        if group.is_none() {
            println!(
                "left out: there is no {controller} controller of version 1 to make a group in"
            );
        }
        group
    }

    fn make(controller: &str) -> Option<ControlGroup> {
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = text.lines().find_map(|line| line.split_once(&format!(":{controller}:")))?.1;
        let parent = PathBuf::from("/sys/fs/cgroup").join(controller);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("mak-init-test-{}-{number}", process::id());
        let path = parent.join(own.trim_start_matches('/')).join(name);
        fs::create_dir(&path).ok()?;
        Some(ControlGroup(path))
    }

    /// Sets a limit.
    pub fn set(&self, file: &str, value: &str) {
        fs::write(self.0.join(file), value).unwrap_or_else(|why| panic!("{file}: {why}"));
    }

    /// Sets a limit that not every kernel has.
    pub fn try_set(&self, file: &str, value: &str) {
        let _ = fs::write(self.0.join(file), value);
    }

    /// The number behind this word in one of its files; 0 where there is none yet.
    pub fn number(&self, file: &str, word: &str) -> u64 {
        let text = fs::read_to_string(self.0.join(file)).unwrap_or_default();
        let mut found =
            text.lines().filter_map(|line| line.strip_prefix(word)?.trim().parse().ok());
        found.next().unwrap_or(0)
    }

    /// Whether no process is in it.
    pub fn is_empty(&self) -> bool {
        fs::read_to_string(self.door()).is_ok_and(|text| text.is_empty())
    }

    /// The file that takes a process into it.
    pub fn door(&self) -> PathBuf {
        self.0.join("cgroup.procs")
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // The kernel lets go of it a moment after its last process.
        for _ in 0..10_000 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::yield_now();
        }
    }
}
