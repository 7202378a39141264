//! People are told what happens to the lines, by every way there is, from real servers.
//!
//! ```text
//!                                                wan1 -- 10.77.1.1 --+            203.0.113.2: HTTP and SMTP sinks
//!  (no hosts) lan -- lan0 192.168.10.1 [potato]                      [internet]
//!                                                wan2 -- 10.77.2.1 --+            203.0.113.3: prosody
//! ```

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use netns_tests::programs::wait_for_listener;
use netns_tests::waiting::wait_for;
use netns_tests::world::lab;
use netns_tests::{Capture, Lab, LabOptions, Must, World, binary};
use potato::demo::lab::{Namespace, Process};
use serde_json::Value;

const PYTHON: &str = "/usr/bin/python3";
const SINKS: &str = "203.0.113.2";
const PROSODY: &str = "203.0.113.3";
/// Seconds from an event to its arrival, at most.
const SOON_ENOUGH: f64 = 2.0;
/// All who are told.
const CHANNELS: [&str; 7] = ["hook", "slack", "ntfy", "_matrix", "mail", "anna", "room"];

/// A program that says what has come to it, a line of JSON each.
struct Listener {
    _process: Process,
    input: ChildStdin,
    heard: Arc<Mutex<Vec<Value>>>,
}

impl Listener {
    fn start(namespace: &Namespace, script: &str, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/notify").join(script);
        let mut command = namespace.command(PYTHON, &[&[&*script.to_string_lossy()], arguments].concat());
        let mut process = Process::start(command.stdin(Stdio::piped()).stdout(Stdio::piped())).must();
        let output = process.child().stdout.take().expect("it is piped");
        let input = process.child().stdin.take().expect("it is piped");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&heard);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let what = serde_json::from_str(&line).must();
                writer.lock().unwrap_or_else(PoisonError::into_inner).push(what);
            }
        });
        Self { _process: process, input, heard }
    }

    fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until something has come that is so.
    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, || self.heard().into_iter().find(&is_so).ok_or_else(|| format!("{:#?}", self.heard())))
    }

    fn say(&mut self, stanza: &str) {
        writeln!(self.input, "{stanza}").must();
    }

    /// Says something to the bot, and waits for an answer that has these words in it.
    fn ask(&mut self, text: &str, answer: &str) {
        self.say(&format!("<message to='potato@office.test' type='chat'><body>{text}</body></message>"));
        self.wait(answer, |stanza| stanza["@type"] == "chat" && body(stanza).contains(answer));
    }
}

fn sinks(lab: &Lab) -> Listener {
    let sinks = Listener::start(lab.internet(), "sinks.py", &[SINKS, "8000", "2525"]);
    wait_for_listener(lab.internet(), 8000);
    wait_for_listener(lab.internet(), 2525);
    sinks
}

fn person(lab: &Lab, name: &str, room: &[&str]) -> Listener {
    let person =
        Listener::start(lab.internet(), "person.py", &[&[PROSODY, name, "office.test", "secret"], room].concat());
    person.wait("log-in", |what| what["name"] == "ready");
    person
}

fn body(stanza: &Value) -> &str {
    stanza["body"].as_str().unwrap_or_default()
}

/// A file in the lab's directory that only we may read.
fn secret(lab: &Lab, name: &str, content: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = lab.directory().join(name);
    fs::write(&path, content).must();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).must();
    path
}

/// A certificate for office.test, of an authority of its own.
fn certificate(lab: &Lab) {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 9 -subj /CN=authority \
                    -keyout ca.key -out ca.pem
                  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=office.test \
                    -keyout office.key -out office.csr
                  printf 'subjectAltName=DNS:office.test\\nbasicConstraints=CA:FALSE\\n' > extensions
                  openssl x509 -req -in office.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 9 \
                    -extfile extensions -out office.pem";
    let made = Command::new("bash").args(["-ec", script]).current_dir(lab.directory()).output().must();
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
}

/// A server of XMPP for office.test, with the accounts potato, anna and boss.
fn prosody(lab: &Lab) -> Process {
    let directory = lab.directory().join("prosody");
    let accounts = directory.join("office%2etest/accounts");
    fs::create_dir_all(&accounts).must();
    for name in ["potato", "anna", "boss"] {
        fs::write(accounts.join(format!("{name}.dat")), "return { [\"password\"] = \"secret\"; };\n").must();
    }
    certificate(lab);
    let (data, files) = (directory.display(), lab.directory().display());
    let text = format!(
        "run_as_root = true\ndaemonize = false\npidfile = \"{data}/pid\"\ndata_path = \"{data}\"\n\
         interfaces = {{ \"{PROSODY}\" }}\nc2s_require_encryption = false\nallow_unencrypted_plain_auth = true\n\
         modules_enabled = {{ \"saslauth\", \"tls\", \"disco\", \"ping\", \"roster\", \"presence\", \"message\", \"iq\" }}\n\
         modules_disabled = {{ \"s2s\" }}\nauthentication = \"internal_plain\"\nlog = {{ info = \"{data}/log\" }}\n\
         VirtualHost \"office.test\"\nssl = {{ certificate = \"{files}/office.pem\"; key = \"{files}/office.key\" }}\n\
         Component \"rooms.office.test\" \"muc\"\nrestrict_room_creation = false\nmuc_room_locking = false\n"
    );
    let config = directory.join("prosody.cfg.lua");
    fs::write(&config, text).must();
    let server = lab.internet().spawn("prosody", &["--config", &config.to_string_lossy(), "-F"]).must();
    wait_for_listener(lab.internet(), 5222);
    server
}

/// The configuration's sections.
fn channels(lab: &Lab) -> String {
    let (password, files) = (secret(lab, "password", "secret\n"), lab.directory().display());
    let terms = "tolerance = \"0s\"\ngroup = \"50ms\"\n";
    let channel = |name: &str, rest: &str| format!("\n[[notify]]\nname = \"{name}\"\n{terms}{rest}\n");
    let http = format!("http://{SINKS}:8000");
    [
        channel(
            "hook",
            &format!("kind = \"webhook\"\nurl = \"{http}/hook\"\ntemplate = '{{\"what\": \"{{text}}\", \"line\": \"{{line}}\"}}'"),
        ),
        channel("slack", &format!("kind = \"slack\"\nurl = \"{http}/slack\"")),
        channel("ntfy", &format!("kind = \"ntfy\"\nurl = \"{http}/ntfy\"")),
        channel(
            "matrix",
            &format!("kind = \"matrix\"\nserver = \"{http}\"\nroom = \"!a:b\"\ntoken_file = \"{}\"", password.display()),
        ),
        channel(
            "mail",
            &format!("kind = \"mail\"\nserver = \"{SINKS}:2525\"\ntls = \"off\"\nfrom = \"p@office.test\"\nto = \"a@office.test\""),
        ),
        channel(
            "chat",
            &format!(
                "kind = \"xmpp\"\njid = \"potato@office.test\"\npassword_file = \"{}\"\nserver = \"{PROSODY}\"\n\
                 ca_file = \"{files}/ca.pem\"\nroom = \"lines@rooms.office.test\"\npeople = \"anna@office.test\"\n\
                 operators = \"boss@office.test\"",
                password.display()
            ),
        ),
    ]
    .concat()
}

/// How channel `name` is.
fn channel(world: &World, name: &str) -> Value {
    let (status, said, error) = world.potato(&["notify", "--json"]);
    assert_eq!(status, Some(0), "{error}");
    let report: Value = serde_json::from_str(&said).must();
    let channels = report["channels"].as_array().cloned().unwrap_or_default();
    channels.into_iter().find(|channel| channel["name"] == name).unwrap_or_default()
}

/// Everybody who is told, and what they have heard.
struct Office {
    world: World,
    sinks: Option<Listener>,
    anna: Listener,
    boss: Listener,
    _prosody: Process,
}

impl Office {
    fn open() -> Self {
        let lab = lab(LabOptions::new(0, 2));
        let server = prosody(&lab);
        let sinks = Some(sinks(&lab));
        let anna = person(&lab, "anna", &[]);
        let boss = person(&lab, "boss", &["lines@rooms.office.test"]);
        let configuration = lab.configuration(Capture::Packet) + &channels(&lab);
        let mut world = World::configured(lab, &configuration);
        world.router.wait_until_up(2).must();
        boss.wait("the bot in the room", |stanza| {
            stanza["@from"] == "lines@rooms.office.test/potato" && stanza["status"] == "2 of 2 lines up"
        });
        Self { world, sinks, anna, boss, _prosody: server }
    }

    fn sinks(&self) -> &Listener {
        self.sinks.as_ref().expect("they are there")
    }

    /// Waits until `who` has been told this; gives when, in seconds since 1970.
    #[track_caller]
    fn told(&self, who: &str, text: &str) -> f64 {
        let arrived = match who {
            "anna" => self.anna.wait(text, |stanza| body(stanza).contains(text)),
            "room" => self.boss.wait(text, |stanza| stanza["@type"] == "groupchat" && body(stanza).contains(text)),
            channel => self.sinks().wait(text, |what| what["by"] == channel && body(what).contains(text)),
        };
        arrived["at"].as_f64().expect("it has a time")
    }

    /// How often the hook was told this.
    fn times_told(&self, text: &str) -> usize {
        self.sinks().heard().iter().filter(|what| what["by"] == "hook" && body(what).contains(text)).count()
    }

    fn set_line(&self, number: u8, state: &str) {
        self.world.internet().ip(&[format!("link set isp{number} {state}")]).must();
    }
}

/// When an event was, in seconds since 1970.
fn time_of(event: &Value) -> f64 {
    let text = event["time"].as_str().unwrap_or_default();
    let milliseconds = potato::daemon::milliseconds(text).expect("it is a time");
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

#[test]
fn every_channel_is_told_in_time_and_nothing_is_lost_or_told_twice() {
    let mut office = Office::open();

    // A line is cut.
    office.set_line(1, "down");
    let cut = time_of(&office.world.wait_for_event("uplink-changed", "carrier lost"));
    for who in CHANNELS {
        let after = office.told(who, "dsl1 is lost: carrier lost") - cut;
        eprintln!("{who}: told {:.0} ms after the event", after * 1_000.0);
        assert!(after < SOON_ENOUGH, "{who}: {after} s");
    }
    office.boss.wait("presence", |stanza| stanza["status"] == "1 of 2 lines up" && stanza["show"] == "away");
    office.set_line(1, "up");
    for who in CHANNELS {
        office.told(who, "dsl1 is up again after ");
    }

    // A test of a channel.
    let (status, said, error) = office.world.potato(&["notify", "test", "hook"]);
    assert!(status == Some(0) && said.starts_with("hook works"), "{said}{error}");
    office.told("hook", "a test of this channel, sent by uid 0, pid ");
    let (status, _, error) = office.world.potato(&["notify", "test", "hooks"]);
    assert!(status == Some(1) && error.contains("there are hook, slack"), "{error}");

    // Somebody who may only look, and somebody who may order.
    office.anna.ask("status", "2 of 2 lines up\ndsl1: up");
    office.anna.ask("down dsl2", "not for you");
    office.boss.ask("down dsl2", "dsl2 is down");
    office.world.wait_for_event("link-ordered", "boss@office.test (chat)");
    office.boss.ask("status", "dsl2: down by boss@office.test (chat)");
    office.boss.ask("up dsl2", "dsl2 is put back");
    office.world.wait_for_state(2, "up");

    // The sink is down, and the router is killed before it is back.
    office.sinks = None;
    office.set_line(2, "down");
    wait_for("a failed attempt", || {
        let hook = channel(&office.world, "hook");
        if hook["queued"] == 1 && hook["last_error"].is_string() { Ok(()) } else { Err(hook.to_string()) }
    });
    office.world.router.kill().must();
    office.sinks = Some(sinks(&office.world.lab));
    let config = office.world.lab.directory().join("potato.toml");
    let again =
        potato::demo::lab::Router::start(office.world.lab.router(), binary(), &config, office.world.lab.directory());
    office.world.router = again.must();
    for who in CHANNELS {
        office.told(who, "dsl2 is lost: carrier lost");
    }

    // No line at all: what cannot leave leaves when the first is back.
    office.world.wait_for_state(1, "up");
    office.set_line(1, "down");
    office.world.wait_for_state(1, "no-carrier");
    wait_for("a failed attempt", || {
        let hook = channel(&office.world, "hook");
        if hook["queued"].as_u64() > Some(0) && hook["last_error"].is_string() { Ok(()) } else { Err(hook.to_string()) }
    });
    office.set_line(2, "up");
    office.world.wait_for_state(2, "up");
    let events = office.world.events();
    let back = events.iter().rfind(|event| event["event"] == "uplink-back").map(time_of).expect("it is back");
    for who in CHANNELS {
        let after = office.told(who, "dsl2 is up again") - back;
        eprintln!("{who}: told {:.0} ms after the first line was back", after * 1_000.0);
        assert!(after < SOON_ENOUGH, "{who}: {after} s");
    }
    assert_eq!(office.times_told("dsl2 is lost"), 1);
    assert_eq!(office.times_told("dsl2 is up again"), 1);
    // The machine itself is the host here, so the RSTs of its own connections are no business of the sniffers.
    assert!(office.world.router.terminate().must().success(), "{}", office.world.router.log_end());
}
