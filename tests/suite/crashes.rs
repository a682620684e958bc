//! Runs that are killed, that find the disk full, or that may no longer write: what was saved stays whole,
//! and a resumed run ends with the bits of one that nothing happened to.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::effort;

/// One method of each family, with enough iterations to be killed in.
const FAMILIES: [(&str, &[&str]); 2] = [
    ("ldvi", &["--iterations", "30000", "--draws", "50", "--set", "ldvi.least-gain=0"]),
    ("sivi-sm", &["--iterations", "6000", "--draws", "50"]),
];

/// `ppl run` on a small model in `folder`, in `shell` words that the command is put behind.
fn run(folder: &Path, shell: &[&str], args: &[&str]) -> Command {
    let words =
        [shell, &[env!("CARGO_BIN_EXE_ppl"), "run", "gauss.ppl", "-q", "--threads", "1"], args];
    let words = words.concat();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(folder).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// A folder with the model and its data.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    for name in ["gauss.ppl", "gauss.json"] {
        std::fs::copy(fixtures.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn draws(run: &Path) -> String {
    let text = std::fs::read_to_string(run.join("draws.csv")).unwrap();
    text.lines().filter(|l| !l.starts_with('#')).collect::<Vec<_>>().join("\n")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn done(mut command: Command) {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Waits until a run has written `file`; whether it did before it ended.
fn wait_for(child: &mut Child, file: &Path) -> bool {
    while !file.exists() {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

#[test]
fn slow_a_hundred_kills_change_no_bit() {
    if !effort::slow() {
        return;
    }
    for (method, flags) in FAMILIES {
        let folder = folder();
        let out = folder.path().join("killed");
        let begin = ["--infer", method, "--checkpoint-seconds", "0.01", "--out", "killed"];
        let go_on = ["--resume", "killed", "--checkpoint-seconds", "0.01"];
        done(run(folder.path(), &[], &[&["--infer", method, "--out", "whole"], flags].concat()));
        let whole = draws(&folder.path().join("whole"));
        let (mut kills, mut ends) = (0, 0);
        let mut moment = 7_u64;
        while kills < 50 {
            let begun = out.join("checkpoint/run.json").exists();
            let args = if begun { go_on.to_vec() } else { [&begin[..], flags].concat() };
            let mut child = run(folder.path(), &[], &args).spawn().unwrap();
            moment = moment.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            std::thread::sleep(Duration::from_millis((moment >> 33) % 250));
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            match output.status.code() {
                None => kills += 1,
                Some(0) => {
                    ends += 1;
                    assert_eq!(whole, draws(&out), "{method}, after {kills} kills");
                    std::fs::remove_dir_all(&out).unwrap();
                }
                Some(code) => panic!("{method}: exit code {code}\n{}", said(&output)),
            }
        }
        if out.join("checkpoint/run.json").exists() {
            done(run(folder.path(), &[], &["--resume", "killed"]));
            assert_eq!(whole, draws(&out), "{method}, after {kills} kills");
            // Half-written files of those that were killed are gone with the folder they were in.
            let left: Vec<String> = names(&out.join("checkpoint"))
                .into_iter()
                .filter(|n| !n.ends_with(".json"))
                .collect();
            assert!(left.is_empty(), "{method}: {left:?}");
        }
        println!("{method}: killed {kills} times, ended {ends} times before");
    }
}

/// A run loses the permission to write after its first checkpoint. `shell` runs it as somebody whom
/// permissions concern.
fn loses_permission(folder: &Path, shell: &[&str]) -> Output {
    let (method, flags) = FAMILIES[0];
    let may_write = |may: bool| {
        let mode = if may { "u+w" } else { "a-w" };
        let mut chmod = Command::new("chmod");
        chmod.args([mode, "out", "out/checkpoint"]).current_dir(folder);
        assert!(chmod.status().unwrap().success());
    };
    for _ in 0..20 {
        let args = ["--infer", method, "--checkpoint-seconds", "0.01", "--out", "out"];
        let mut child = run(folder, shell, &[&args[..], flags].concat()).spawn().unwrap();
        let before_its_end = wait_for(&mut child, &folder.join("out/checkpoint/langevin.json"));
        let before_its_end = before_its_end && {
            may_write(false);
            child.try_wait().unwrap().is_none()
        };
        let output = child.wait_with_output().unwrap();
        may_write(true);
        if before_its_end && said(&output).contains("no checkpoint") {
            return output;
        }
        std::fs::remove_dir_all(folder.join("out")).unwrap();
    }
    panic!("it always ended before the permission was taken away");
}

/// Words before a command that run it as nobody, to whom `folder` then belongs; empty for somebody who
/// is not root. `None` where root cannot be anybody else.
fn as_nobody(folder: &Path) -> Option<Vec<&'static str>> {
    let id = Command::new("id").arg("-u").output().ok()?;
    if String::from_utf8_lossy(&id.stdout).trim() != "0" {
        return Some(Vec::new());
    }
    let chown = Command::new("chown").args(["-R", "65534:65534"]).arg(folder).status().ok()?;
    let words = vec!["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut tried = Command::new(words[0]);
    tried.args(&words[1..]).arg(env!("CARGO_BIN_EXE_ppl")).arg("--version").current_dir(folder);
    (chown.success() && tried.output().ok()?.status.success()).then_some(words)
}

#[test]
fn slow_a_run_that_may_no_longer_write_says_so_and_can_be_resumed() {
    if !effort::slow() {
        return;
    }
    let folder = folder();
    let Some(nobody) = as_nobody(folder.path()) else {
        println!("skipped: permissions do not concern root");
        return;
    };
    let (method, flags) = FAMILIES[0];
    done(run(folder.path(), &nobody, &[&["--infer", method, "--out", "whole"], flags].concat()));
    let output = loses_permission(folder.path(), &nobody);
    let error = said(&output);
    assert!(error.contains("out/checkpoint") && error.contains("Permission denied"), "{error}");
    done(run(folder.path(), &nobody, &["--resume", "out"]));
    assert_eq!(draws(&folder.path().join("whole")), draws(&folder.path().join("out")));
}

/// A file system of so many KiB at `at`, unmounted in the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(at: PathBuf, kib: usize) -> Option<Self> {
        std::fs::create_dir(&at).unwrap();
        let disk = SmallDisk(at);
        disk.mount(&format!("size={kib}k")).then_some(disk)
    }

    fn mount(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0);
        mount.output().is_ok_and(|output| output.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn slow_a_full_file_system_leaves_the_last_state_whole() {
    if !effort::slow() {
        return;
    }
    let folder = folder();
    let Some(disk) = SmallDisk::new(folder.path().join("disk"), 200) else {
        println!("skipped: only root may mount a small file system");
        return;
    };
    let flags = ["--infer", "mean-field", "--draws", "20000", "--checkpoint-seconds", "0", "--out"];
    done(run(folder.path(), &[], &[&flags[..], &["whole"]].concat()));
    let output = run(folder.path(), &[], &[&flags[..], &["disk/out"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("No space left on device"), "{}", said(&output));
    assert_eq!(names(&disk.0), ["out"], "nothing half-written is left");
    assert!(!disk.0.join("out/summary.json").exists());
    assert!(disk.mount("remount,size=200m"));
    done(run(folder.path(), &[], &["--resume", "disk/out"]));
    assert_eq!(draws(&folder.path().join("whole")), draws(&disk.0.join("out")));
}
