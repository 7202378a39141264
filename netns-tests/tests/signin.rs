//! Signing in at the pages, and what must not get by: asked by curl and by raw sockets from hosts of the LAN.
//!
//! ```text
//!  h1 .21 --+
//!           +-- lan -- lan0 192.168.10.1:8080 [potato] wan1 -- 10.77.1.1 -- [internet]
//!  h2 .22 --+
//! ```

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use netns_tests::waiting::wait_for;
use netns_tests::{Capture, LabOptions, Must, World, binary};
use serde_json::{Value, json};

const HOST: &str = "192.168.10.1:8080";

/// What curl got.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(": ").is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        self.head.lines().find(|line| of(line)).and_then(|line| line.split_once(": ")).map(|(_, value)| value.trim())
    }

    #[track_caller]
    fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }
}

/// A browser on a LAN host: has a cookie, and says whose page asks.
struct Browser<'w> {
    world: &'w World,
    host: u8,
    scheme: &'static str,
    cookie: Option<String>,
}

impl<'w> Browser<'w> {
    fn new(world: &'w World, host: u8) -> Self {
        Self { world, host, scheme: "http", cookie: None }
    }

    /// Asks as curl does with these arguments; the last one is the path.
    #[track_caller]
    fn curl(&self, arguments: &[&str], path: &str) -> Answer {
        let url = format!("{}://{HOST}{path}", self.scheme);
        let usual = ["-s", "-i", "-k", "--http1.1", "--max-time", "8", "--path-as-is"];
        let cookie = self.cookie.as_ref().map(|cookie| format!("Cookie: {cookie}"));
        let cookie: Vec<&str> = cookie.iter().flat_map(|cookie| ["-H", cookie]).collect();
        let said = self.world.host(self.host).exec("curl", &[&usual[..], &cookie, arguments, &[&*url]].concat()).must();
        let (head, body) = said.split_once("\r\n\r\n").unwrap_or((&said, ""));
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.curl(&[], path)
    }

    /// As our own page does it.
    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let origin = format!("Origin: {}://{HOST}", self.scheme);
        self.send_with(method, path, body, &["-H", &origin])
    }

    #[track_caller]
    fn send_with(&self, method: &str, path: &str, body: &Value, more: &[&str]) -> Answer {
        let body = body.to_string();
        let usual = ["-X", method, "-H", "Content-Type: application/json", "--data-binary", &body];
        self.curl(&[&usual[..], more].concat(), path)
    }

    /// Signs in, and keeps the cookie.
    #[track_caller]
    fn sign_in(&mut self, name: &str, password: &str) -> Answer {
        let answer = self.send("POST", "/v1/session", &json!({ "name": name, "password": password }));
        self.keep_cookie(&answer);
        answer
    }

    fn keep_cookie(&mut self, answer: &Answer) {
        if let Some(cookie) = answer.header("set-cookie").filter(|_| answer.status == 200) {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
    }

    /// A browser on `host` in which this user has signed in.
    #[track_caller]
    fn of(world: &'w World, host: u8, name: &str, password: &str) -> Self {
        let mut browser = Self::new(world, host);
        browser.sign_in(name, password).is(200);
        browser
    }
}

const ANNAS: &str = "anna's long password";
const BERTS: &str = "bert's long password";
const CARLS: &str = "carl's long password";

/// A lab whose pages are served with these settings.
fn world(settings: &str) -> World {
    let mut options = LabOptions::new(2, 1);
    options.pages = true;
    options.pages_settings = settings.to_owned();
    World::with(Capture::Packet, options)
}

fn state_dir(world: &World) -> String {
    world.lab.directory().join("state").to_string_lossy().into_owned()
}

/// `potato` about users, with a line of standard input.
#[track_caller]
fn about_people(world: &World, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let state_dir = state_dir(world);
    let mut command = std::process::Command::new(binary());
    command.args(arguments).args(["--state-dir", &state_dir]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().must();
    child.stdin.take().unwrap().write_all(input.as_bytes()).must();
    let output = child.wait_with_output().must();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Until the pages answer.
fn wait_for_pages(world: &World) {
    netns_tests::programs::wait_for_listener(world.lab.router(), 8080);
}

#[test]
fn who_has_signed_in_may_do_what_his_role_may_and_nobody_else_gets_in() {
    let mut world = world("tls = \"off\"\n");
    wait_for_pages(&world);
    let slow = slow_ones(&world);
    strangers_get_a_page_and_nothing_else(&world);
    first_one_with_the_code_is_admin(&world);
    sessions_cannot_be_given_to_somebody_else(&world);
    other_sites_change_nothing(&world);
    roles_are_kept(&world);
    tokens_are_for_scripts(&world);
    paths_and_bodies_are_bounded(&world);
    guessing_takes_long(&world);
    signing_out_everywhere_ends_open_pages(&world);
    configuration_is_checked_before_it_is_written(&world);
    console_adds_and_removes(&world);
    slow_ones_are_cut_off(slow);
    let anna = Browser::of(&world, 1, "anna", ANNAS).cookie;
    world.router.terminate().must();
    world.router = world.lab.start_router(binary(), Capture::Packet).must();
    wait_for_pages(&world);
    let browser = Browser { cookie: anna, ..Browser::new(&world, 1) };
    assert_eq!(browser.get("/v1/session").is(200).json()["name"], "anna", "a session outlives a restart");
    world.finish();
}

fn strangers_get_a_page_and_nothing_else(world: &World) {
    let browser = Browser::new(world, 1);
    let page = browser.get("/").is(200);
    let policy = page.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("script-src 'self'"), "{policy}");
    assert_eq!(page.header("x-frame-options"), Some("DENY"));
    let welcome = browser.get("/v1/welcome").is(200);
    assert_eq!((&welcome.json()["claimed"], &welcome.json()["look"]), (&json!(false), &json!("signed-in")));
    assert_eq!(welcome.header("cache-control"), Some("no-store"));
    for path in ["/v1/status", "/v1/flows", "/v1/events", "/live", "/v1/users", "/v1/config", "/v1/none", "/v1/session"]
    {
        let answer = browser.get(path).is(401);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
    }
    browser.send("POST", "/v1/link", &json!({ "uplink": "dsl1", "state": "down" })).is(401);
    browser.send("POST", "/v1/reload", &json!({})).is(401);
    // A name that somebody else can give to our address (DNS rebinding) is not ours.
    browser.curl(&["-H", "Host: evil.example:8080"], "/v1/welcome").is(421);
}

fn first_one_with_the_code_is_admin(world: &World) {
    let mut browser = Browser::new(world, 1);
    let code = about_people(world, &["user", "claim-code"], "").1.trim().to_owned();
    wait_for("the code on the console", || {
        let log = world.router.log();
        if !code.is_empty() && log.contains(&code) { Ok(()) } else { Err(log) }
    });
    let claim = |code: &str, password: &str| json!({ "code": code, "name": "Anna", "password": password });
    browser.send("POST", "/v1/claim", &claim("AAAA-AAAA-AAAA", ANNAS)).is(403);
    browser.send("POST", "/v1/claim", &claim(&code, "short")).is(422);
    let foreign = ["-H", "Origin: http://evil.example"];
    browser.send_with("POST", "/v1/claim", &claim(&code, ANNAS), &foreign).is(403);
    let claimed = browser.send("POST", "/v1/claim", &claim(&code, ANNAS)).is(200);
    assert_eq!(claimed.json(), json!({ "name": "anna", "role": "admin" }));
    let cookie = claimed.header("set-cookie").unwrap_or_default();
    assert!(cookie.starts_with("potato=") && cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(cookie.contains("Path=/;") && !cookie.contains("Secure"), "{cookie}");
    browser.keep_cookie(&claimed);
    assert_eq!(browser.get("/v1/session").is(200).json()["role"], "admin");
    assert_eq!(browser.get("/v1/status").is(200).json()["uplinks"][0]["name"], "dsl1");
    Browser::new(world, 2).send("POST", "/v1/claim", &claim(&code, ANNAS)).is(409);
    assert_eq!(browser.get("/v1/welcome").json()["claimed"], true);
    world.wait_for_event("claimed", "\"anna\"");
}

fn sessions_cannot_be_given_to_somebody_else(world: &World) {
    let mut browser = Browser::new(world, 1);
    let wrong = browser.sign_in("anna", "anna's wrong password").is(401);
    let unknown = browser.sign_in("nobody", "anna's wrong password").is(401);
    assert_eq!(wrong.body, unknown.body, "who there is is nobody's business");
    world.wait_for_event("sign-in-failed", "nobody");
    // Somebody has made this browser bring a value that he knows.
    let planted = format!("potato={}", "a".repeat(64));
    browser.cookie = Some(planted.clone());
    browser.sign_in("Anna", ANNAS).is(200);
    let first = browser.cookie.clone();
    assert_ne!(first.as_deref(), Some(&*planted));
    Browser { cookie: Some(planted), ..Browser::new(world, 2) }.get("/v1/session").is(401);
    // Signing in once more ends the session before.
    browser.sign_in("anna", ANNAS).is(200);
    assert_ne!(browser.cookie, first);
    Browser { cookie: first, ..Browser::new(world, 1) }.get("/v1/session").is(401);
    world.wait_for_event("signed-in", "192.168.10.21");
    let signed_out = browser.send("DELETE", "/v1/session", &json!({})).is(204);
    assert!(signed_out.header("set-cookie").is_some_and(|cookie| cookie.contains("Max-Age=0")), "{signed_out:?}");
    browser.get("/v1/session").is(401);
}

fn other_sites_change_nothing(world: &World) {
    let browser = Browser::of(world, 1, "anna", ANNAS);
    let down = json!({ "uplink": "dsl1", "state": "down" });
    let foreign: [&[&str]; 6] = [
        &[],
        &["-H", "Origin: http://evil.example"],
        &["-H", "Origin: null"],
        &["-H", "Origin: http://192.168.10.1:9000"],
        &["-H", "Sec-Fetch-Site: cross-site"],
        &["-H", "Origin: http://192.168.10.1:8080", "-H", "Sec-Fetch-Site: same-site"],
    ];
    for headers in foreign {
        browser.send_with("POST", "/v1/link", &down, headers).is(403);
        browser.send_with("DELETE", "/v1/sessions", &json!({}), headers).is(403);
    }
    browser.curl(&["-H", "Sec-Fetch-Site: cross-site"], "/v1/status").is(403);
    // What a form of another page could send at most is not JSON.
    let origin = format!("Origin: http://{HOST}");
    let form = ["-X", "POST", "-H", &origin, "-H", "Content-Type: text/plain", "--data-binary", &down.to_string()];
    browser.curl(&form, "/v1/link").is(415);
    assert_eq!(world.uplink(1)["state"], "up");
    browser.send_with("POST", "/v1/link", &down, &["-H", "Sec-Fetch-Site: same-origin"]).is(200);
    assert_eq!(world.uplink(1)["taken_down_by"], "anna");
    browser.send("POST", "/v1/link", &json!({ "uplink": "dsl1", "state": "up" })).is(200);
}

fn roles_are_kept(world: &World) {
    let anna = Browser::of(world, 1, "anna", ANNAS);
    let user = |name: &str, role: &str, password: &str| json!({ "name": name, "role": role, "password": password });
    anna.send("POST", "/v1/users", &user("bert", "viewer", BERTS)).is(201);
    anna.send("POST", "/v1/users", &user("carl", "operator", CARLS)).is(201);
    anna.send("POST", "/v1/users", &user("carl", "operator", CARLS)).is(409);
    anna.send("POST", "/v1/users", &user("../x", "operator", CARLS)).is(422);
    let (bert, carl) = (Browser::of(world, 1, "bert", BERTS), Browser::of(world, 2, "carl", CARLS));
    let down = json!({ "uplink": "dsl1", "state": "down", "expect": "up" });
    bert.get("/v1/status").is(200);
    let refusal = bert.send("POST", "/v1/link", &down).is(403);
    assert!(refusal.body.contains("bert is viewer; this needs operator"), "{refusal:?}");
    for (browser, path) in [(&bert, "/v1/users"), (&carl, "/v1/users"), (&carl, "/v1/config"), (&carl, "/v1/tokens")] {
        browser.get(path).is(403);
    }
    carl.send("POST", "/v1/users", &user("dora", "admin", CARLS)).is(403);
    carl.send("POST", "/v1/reload", &json!({})).is(403);
    carl.send("POST", "/v1/link", &down).is(200);
    world.wait_for_event("link-ordered", "\"carl\"");
    // Who saw another state is told who was faster.
    let late = anna.send("POST", "/v1/link", &down).is(409);
    assert!(late.body.contains("carl") && late.json()["by"] == "carl", "{late:?}");
    anna.send("POST", "/v1/link", &json!({ "uplink": "dsl1", "state": "toggle", "expect": "down" })).is(200);
    assert!(world.uplink(1)["taken_down_by"].is_null());
    // A role counts at once, and the last admin stays one.
    let changed = anna.send("POST", "/v1/users/bert", &json!({ "role": "operator" })).is(200);
    assert!(changed.json()["role"] == "operator" && changed.json()["last_seen"].is_string(), "{changed:?}");
    bert.send("POST", "/v1/link", &json!({ "uplink": "dsl1", "state": "up" })).is(200);
    anna.send("POST", "/v1/users/anna", &json!({ "role": "viewer" })).is(409);
    anna.send("DELETE", "/v1/users/anna", &json!({})).is(409);
    anna.send("DELETE", "/v1/users/bert", &json!({})).is(204);
    bert.get("/v1/session").is(401);
    world.wait_for_event("user-removed", "bert");
}

fn tokens_are_for_scripts(world: &World) {
    let anna = Browser::of(world, 1, "anna", ANNAS);
    let given = anna.send("POST", "/v1/tokens", &json!({ "name": "script", "role": "operator" })).is(201).json();
    let bearer = format!("Authorization: Bearer {}", given["token"].as_str().unwrap_or_default());
    let script = Browser::new(world, 2);
    script.curl(&["-H", &bearer], "/v1/status").is(200);
    script.curl(&["-H", &bearer], "/v1/users").is(403);
    script.send_with("POST", "/v1/link", &json!({ "uplink": "dsl1", "state": "up" }), &["-H", &bearer]).is(200);
    world.wait_for_event("link-ordered", "token script");
    script.curl(&["-H", "Authorization: Bearer potato_0"], "/v1/status").is(401);
    script.curl(&["-H", "Authorization: Basic YTpi"], "/v1/status").is(401);
    let listed = anna.get("/v1/tokens").is(200);
    assert!(listed.body.contains("script") && !listed.body.contains(given["token"].as_str().unwrap_or("?")));
    anna.send("DELETE", &format!("/v1/tokens/{}", given["id"]), &json!({})).is(204);
    script.curl(&["-H", &bearer], "/v1/status").is(401);
}

fn paths_and_bodies_are_bounded(world: &World) {
    let anna = Browser::of(world, 1, "anna", ANNAS);
    let stranger = Browser::new(world, 1);
    for path in [
        "/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/v1/../../etc/passwd",
        "/..%2fpotato.toml",
        "//etc/passwd",
    ] {
        for browser in [&anna, &stranger] {
            let answer = browser.get(path);
            assert!(matches!(answer.status, 404 | 401) && !answer.body.contains("root:"), "{path}: {answer:?}");
        }
    }
    for path in ["/v1//users", "/v1/%75sers", "/v1/users/", "/V1/users", "/v1/./users"] {
        let status = stranger.get(path).status;
        assert!(matches!(status, 401 | 404), "{path}: {status}");
    }
    let long = json!({ "name": "x".repeat(70_000), "password": "x" });
    let folder = world.lab.directory().join("long.json");
    fs::write(&folder, long.to_string()).must();
    let origin = format!("Origin: http://{HOST}");
    let file = format!("@{}", folder.display());
    let post =
        ["-X", "POST", "-H", &origin, "-H", "Content-Type: application/json", "-H", "Expect:", "--data-binary", &file];
    stranger.curl(&post, "/v1/session").is(413);
    stranger.curl(&[&post[..], &["-H", "Transfer-Encoding: chunked"]].concat(), "/v1/session").is(413);
}

/// Who begins to say something and does not go on: nobody else waits for them.
fn slow_ones(world: &World) -> Vec<TcpStream> {
    let begun = [
        "GET / HTTP/1.1\r\nHost: 192",
        "POST /v1/session HTTP/1.1\r\nHost: 192.168.10.1\r\nContent-Type: application/json\r\nContent-Length: 60\r\n\r\n{",
    ];
    let connect = |number: usize| {
        let mut stream = world.host(2).run(|| TcpStream::connect(HOST)).must().must();
        stream.write_all(begun[number % 2].as_bytes()).must();
        stream
    };
    (0..40).map(connect).collect()
}

/// Those in the middle of a body with a word.
fn slow_ones_are_cut_off(slow: Vec<TcpStream>) {
    for mut stream in slow {
        stream.set_read_timeout(Some(Duration::from_secs(15))).must();
        let mut said = String::new();
        stream.read_to_string(&mut said).must();
        assert!(said.is_empty() || said.contains(" 408 "), "{said}");
    }
}

fn guessing_takes_long(world: &World) {
    let mut browser = Browser::new(world, 2);
    let statuses: Vec<u16> = (0..6).map(|guess| browser.sign_in("mallory", &format!("guess {guess}")).status).collect();
    assert_eq!(statuses[..5], [401; 5], "{statuses:?}");
    let refusal = browser.sign_in("mallory", "guess").is(429);
    let seconds: u64 = refusal.header("retry-after").and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    assert!((1..=60).contains(&seconds), "{refusal:?}");
    // From elsewhere others sign in as ever.
    Browser::of(world, 1, "anna", ANNAS);
}

fn signing_out_everywhere_ends_open_pages(world: &World) {
    let (here, there) = (Browser::of(world, 1, "anna", ANNAS), Browser::of(world, 1, "anna", ANNAS));
    let mut live = world.host(1).run(|| TcpStream::connect(HOST)).must().must();
    live.set_read_timeout(Some(Duration::from_secs(10))).must();
    let cookie = there.cookie.clone().unwrap_or_default();
    live.write_all(format!("GET /live HTTP/1.1\r\nHost: {HOST}\r\nCookie: {cookie}\r\n\r\n").as_bytes()).must();
    let mut heard = String::new();
    let mut hear_until = |words: &str| {
        let mut bytes = [0; 65_536];
        while !heard.contains(words) {
            let length = live.read(&mut bytes).must();
            assert!(length > 0, "no {words} in {heard}");
            heard += &String::from_utf8_lossy(&bytes[..length]);
        }
    };
    hear_until("event: people\ndata: {\"signed_in\":[\"anna\"]}");
    hear_until("event: status");
    here.send("DELETE", "/v1/sessions", &json!({})).is(204);
    hear_until("event: session\ndata: {\"expired\":true}");
    hear_until("\r\n0\r\n\r\n");
    here.get("/v1/session").is(401);
    there.get("/v1/status").is(401);
    let mut anna = Browser::of(world, 1, "anna", ANNAS);
    let other = Browser::of(world, 1, "anna", ANNAS);
    let change = |old: &str, new: &str| json!({ "old": old, "new": new });
    anna.send("POST", "/v1/password", &change("wrong password", BERTS)).is(403);
    let changed = anna.send("POST", "/v1/password", &change(ANNAS, BERTS)).is(204);
    anna.cookie = changed.header("set-cookie").and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
    anna.get("/v1/session").is(200);
    other.get("/v1/session").is(401);
    anna.send("POST", "/v1/password", &change(BERTS, ANNAS)).is(204);
}

fn configuration_is_checked_before_it_is_written(world: &World) {
    let anna = Browser::of(world, 1, "anna", ANNAS);
    let report = anna.get("/v1/config").is(200).json();
    let (path, text) = (report["path"].as_str().unwrap_or_default(), report["text"].as_str().unwrap_or_default());
    let broken = format!("{text}\ncolour = \"red\"\n");
    let check = anna.send("POST", "/v1/config/check", &json!({ "text": broken })).is(200).json();
    assert!(check["ok"] == false && check["error"].as_str().is_some_and(|error| error.contains("colour")), "{check}");
    anna.send("POST", "/v1/config", &json!({ "text": broken })).is(422);
    let elsewhere = text.replace(":8080", ":8081");
    let refusal = anna.send("POST", "/v1/config", &json!({ "text": elsewhere })).is(422);
    assert!(refusal.body.contains("restart"), "{refusal:?}");
    assert_eq!(fs::read_to_string(path).must(), text, "nothing is written");
    let good = text.replace("name = \"dsl1\"", "name = \"dsl1\"\nweight = 3");
    assert_eq!(anna.send("POST", "/v1/config/check", &json!({ "text": good })).json()["ok"], true);
    anna.send("POST", "/v1/config", &json!({ "text": good, "was": "something else" })).is(409);
    let applied = anna.send("POST", "/v1/config", &json!({ "text": good, "was": text })).is(200);
    assert!(applied.body.contains("weight"), "{applied:?}");
    assert_eq!(fs::read_to_string(path).must(), good);
    assert_eq!(fs::read_to_string(format!("{path}.bak")).must(), text);
    world.wait_for_event("reload-ordered", "\"anna\"");
}

fn console_adds_and_removes(world: &World) {
    let (status, said, error) = about_people(world, &["user", "add", "dora", "--role", "viewer"], "dora's password\n");
    assert_eq!((status, said.as_str()), (Some(0), "dora may sign in, as viewer\n"), "{error}");
    let dora = Browser::of(world, 1, "dora", "dora's password");
    let (status, _, error) = about_people(world, &["user", "add", "dora"], "dora's password\n");
    assert!(status == Some(1) && error.contains("there is a user dora already"), "{error}");
    let (status, _, error) = about_people(world, &["user", "password", "dora"], "short\n");
    assert!(status == Some(1) && error.contains("fewer than 8"), "{error}");
    let said = about_people(world, &["user", "list"], "").1;
    assert!(said.contains("dora  viewer    20") && said.contains("anna  admin     20"), "{said}");
    assert_eq!(about_people(world, &["user", "remove", "dora"], "").0, Some(0));
    dora.get("/v1/session").is(401);
    world.wait_for_event("user-removed", "uid 0, potato user");
    let (_, token, _) = about_people(world, &["token", "add", "monitor"], "");
    let bearer = format!("Authorization: Bearer {}", token.trim());
    Browser::new(world, 2).curl(&["-H", &bearer], "/v1/status").is(200);
    assert_eq!(about_people(world, &["token", "remove", "monitor"], "").0, Some(0));
    Browser::new(world, 2).curl(&["-H", &bearer], "/v1/status").is(401);
}

#[test]
fn pages_are_encrypted_with_a_certificate_of_their_own() {
    let world = world("");
    wait_for_pages(&world);
    let mut browser = Browser { scheme: "https", ..Browser::new(&world, 1) };
    let code = about_people(&world, &["user", "claim-code"], "").1;
    let claim = json!({ "code": code, "name": "anna", "password": ANNAS });
    let plain = ["-H", "Origin: http://192.168.10.1:8080"];
    browser.send_with("POST", "/v1/claim", &claim, &plain).is(403);
    let claimed = browser.send("POST", "/v1/claim", &claim).is(200);
    let cookie = claimed.header("set-cookie").unwrap_or_default();
    assert!(cookie.starts_with("__Host-potato=") && cookie.ends_with("SameSite=Strict; Secure"), "{cookie}");
    browser.keep_cookie(&claimed);
    browser.get("/v1/status").is(200);
    browser.get("/").is(200);
    let plain = Browser { scheme: "http", ..Browser::new(&world, 1) }.get("/").is(400);
    assert!(plain.body.contains("this is https: https://192.168.10.1:8080/"), "{plain:?}");
    let key = format!("{}/web-key.pem", state_dir(&world));
    assert_eq!(fs::metadata(key).must().permissions().mode() & 0o777, 0o600);
    wait_for("the certificate's fingerprint in the log", || {
        let log = world.router.log();
        if log.contains("pages are encrypted") { Ok(()) } else { Err(log) }
    });
    world.finish();
}
