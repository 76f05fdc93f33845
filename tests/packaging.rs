//! What is installed beside the program: the service's unit, its configuration, the package's list.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use corelane::config::load_file;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn unit(key: &str) -> String {
    let unit = text("config/packaging/systemd/corelane.service");
    let value = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    value.unwrap_or_else(|| panic!("{key} is not set")).to_string()
}

#[test]
fn the_service_starts_what_is_installed() {
    let installed = text("Cargo.toml");
    let exec = unit("ExecStart");
    let words: Vec<&str> = exec.split(' ').collect();
    assert_eq!(words[..2], ["/usr/bin/corelane", "serve"]);
    assert!(installed.contains("[\"target/release/corelane\", \"usr/bin/\", \"755\"]"));
    let config = words[3].trim_start_matches('/');
    assert!(installed.contains(&format!("\"{config}\", \"644\"]")), "{config} is not installed");
    assert!(installed.contains(&format!("conf-files = [\"/{config}\"]")));
    let config = load_file(&file("config/packaging/corelane.toml")).expect("is understood");
    let state = Path::new("/var/lib").join(unit("StateDirectory"));
    assert!(config.log_dirs.iter().all(|dir| dir.starts_with(&state)), "may be written");
    let user = text("config/packaging/sysusers.d/corelane.conf");
    assert!(user.starts_with(&format!("u {} ", unit("User"))));
}

#[test]
fn the_service_has_the_limits_that_a_broker_needs() {
    assert_eq!(unit("LimitMEMLOCK"), "infinity");
    assert!(unit("LimitNOFILE").parse::<u64>().expect("a number") >= 65_536);
    // Connections have ten seconds, then everything in memory is written.
    assert!(unit("TimeoutStopSec").parse::<u64>().expect("seconds") >= 60);
}

#[test]
fn the_service_is_not_started_again_with_a_wrong_configuration() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("corelane.toml");
    fs::write(&config, "\"nonsense\" = 1\n").expect("is written");
    let serve = ["serve", "--config", config.to_str().expect("is text")];
    let said = Command::new(env!("CARGO_BIN_EXE_corelane")).args(serve).output().expect("runs");
    assert_eq!(said.status.code(), Some(unit("RestartPreventExitStatus").parse().expect("a code")));
}

#[test]
fn manual_pages_are_where_the_package_takes_them_from() {
    let dir = tempfile::tempdir().expect("a directory");
    let man = Command::new(env!("CARGO_BIN_EXE_corelane")).arg("man").arg(dir.path()).status();
    assert!(man.expect("runs").success());
    for page in ["corelane.1", "corelane-serve.1", "corelane-topic-create.1"] {
        let text = fs::read_to_string(dir.path().join(page)).expect("a page a command");
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
    }
    // Compressed by the script that packs them.
    let taken = "[\"target/release/man/*.1.gz\", \"usr/share/man/man1/\", \"644\"]";
    assert!(text("Cargo.toml").contains(taken));
    assert!(
        text("scripts/deb.sh").contains("\"$target/release/corelane\" man \"$target/release/man\"")
    );
}

#[test]
fn completions_are_what_the_program_prints() {
    let completions = "config/packaging/completions";
    for (shell, file) in
        [("bash", "corelane.bash"), ("zsh", "_corelane"), ("fish", "corelane.fish")]
    {
        let asked = format!("corelane completions {shell}");
        assert!(text(&format!("{completions}/{file}")).contains(&asked), "{file}");
        let said =
            Command::new(env!("CARGO_BIN_EXE_corelane")).args(["completions", shell]).output();
        let said = String::from_utf8(said.expect("runs").stdout).expect("is text");
        assert!(said.contains("complete"), "{shell}: {said}");
    }
}

#[test]
fn everything_that_is_installed_is_there() {
    load_file(&file("config/production.toml")).expect("is understood");
    let installed = text("Cargo.toml");
    let assets = installed.split("assets = [").nth(1).expect("a list").split("\n]").next();
    let sources = assets.expect("ends").lines().filter_map(|line| line.split('"').nth(1));
    let sources: Vec<&str> = sources.filter(|name| !name.starts_with("target/")).collect();
    assert!(sources.len() > 5, "{sources:?}");
    for source in sources {
        assert!(file(source).is_file(), "{source} is missing");
    }
}

#[test]
fn the_service_manager_is_told_when_clients_are_let_in() {
    let dir = tempfile::tempdir().expect("a directory");
    let address = dir.path().join("notify");
    let socket = UnixDatagram::bind(&address).expect("binds");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("is set");
    let mut broker = Command::new(env!("CARGO_BIN_EXE_corelane"))
        .args(["serve", "--listen", "127.0.0.1:0", "--shards", "1", "--data-dir"])
        .arg(dir.path().join("data"))
        .env("NOTIFY_SOCKET", &address)
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let told = || {
        let mut message = [0; 256];
        let len = socket.recv(&mut message).expect("is told");
        String::from_utf8_lossy(&message[..len]).trim().to_string()
    };
    assert_eq!(told(), "READY=1");
    let pid = rustix::process::Pid::from_child(&broker);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("is running");
    assert_eq!(told(), "STOPPING=1");
    assert_eq!(broker.wait().expect("ends").code(), Some(0));
}
