//! What stands beside the lines: health, reservations, rules, pages, channels, forwards.

use super::*;

#[test]
fn mistakes_about_health_are_found() {
    let refused = |lines: &str, line: usize, parts: &[&str]| {
        assert_refused(&format!("{LEAST}[health]\n{lines}\n"), 10 + line, parts);
    };
    for target in ["gatway", "0.0.0.0", "dns.example.org", "icmp://192.0.2.1", "192.0.2.1:80", "::1"] {
        let lines = format!("targets = [\"gateway\", \"{target}\"]");
        refused(&lines, 1, &["`targets`", target, "is no target", "an IPv4 address to ping"]);
    }
    for target in
        ["tcp://192.0.2.1", "tcp://192.0.2.1:0", "dns://one.one", "http://192.0.2.1/index.html", "http://::1/"]
    {
        let lines = format!("targets = [\"{target}\"]");
        refused(&lines, 1, &["`targets`", target, "names no host by its address", "\"tcp://192.0.2.1:443\""]);
    }
    refused("targets = \"https://192.0.2.1/\"", 1, &["certificate", "tcp://192.0.2.1:443"]);
    refused("targets = [53]", 1, &["`targets`", "a whole number", "\"gateway\""]);
    refused("targets = []", 1, &["`targets`", "the list is empty"]);
    refused("targets = [\"192.0.2.1\", \"192.0.2.1\"]", 1, &["`targets`", "named twice"]);
    let many: Vec<_> = (1..=13).map(|host| format!("\"192.0.2.{host}\"")).collect();
    refused(&format!("targets = [{}]", many.join(", ")), 1, &["`targets`", "13 targets are too many", "at most 12"]);
    refused(
        "targets = [\"gateway\", \"192.0.2.1\"]\nneed = 2",
        2,
        &["`need`", "names 1 beyond the gateway", "at most 1"],
    );
    for (line, right) in [
        ("need = 0", "a whole number from 1 to 12"),
        ("down_after = 0", "a whole number from 1 to 100"),
        ("up_after = 101", "a whole number from 1 to 100"),
        ("max_loss_percent = 101", "a whole number from 1 to 100"),
        ("interval = \"50ms\"", "from \"100ms\" to \"60s\""),
        ("interval = \"2m\"", "from \"100ms\" to \"60s\""),
        ("down_afer = 2", "did you mean `down_after`?"),
    ] {
        refused(line, 1, &[line.split(' ').next().unwrap(), right]);
    }
}

#[test]
fn without_a_health_section_lines_are_watched_as_usual() {
    let health = parse(LEAST).unwrap().health;
    assert_eq!((health.interval, health.targets, health.need), (Duration::from_millis(500), None, 1));
    assert_eq!((health.down_after, health.up_after, health.max_loss_percent), (2, 3, 20));
}

#[test]
fn mistakes_in_reservations_rules_and_pages_are_named() {
    refused(
        "[[reserve]]\nuplink = \"dsl2\"\nhosts = [\"192.168.10.50\"]",
        2,
        &["`uplink`", "no uplink named \"dsl2\"", "dsl1"],
    );
    refused("[[reserve]]\nuplink = \"dsl1\"\nhosts = [\"192.168.10\"]", 3, &["`hosts`", "Ethernet address"]);
    let reserve = |lines: &str| format!("[[reserve]]\nuplink = \"dsl1\"\n{lines}");
    refused(&reserve("hosts = [\"laptop\"]"), 3, &["`hosts`", "\"laptop\" is a hostname", "add leases = ", "to [lan]"]);
    let known = "hosts = [\"10.0.0.1\"]\n";
    refused(&reserve(&format!("{known}when_down = \"queue\"")), 4, &["`when_down`", "`pool` or `refuse`"]);
    refused(
        &reserve(&format!("{known}from = \"18:00\"\nuntil = \"18:00\"")),
        5,
        &["`until`", "end when it begins", "neither"],
    );
    refused(&reserve(&format!("{known}from = \"00:00\"")), 4, &["`from`", "end when it begins"]);
    refused("[[reserve]]\nuplink = \"dsl1\"", 1, &["[[reserve]] has no `hosts`"]);
    for time in ["\"25:00\"", "\"18:60\"", "\"18\"", "\"6pm\"", "\"1:00\"", "\"+1:00\"", "18:00:00", "18"] {
        refused(
            &format!("[[reserve]]\nuplink = \"dsl1\"\nhosts = [\"10.0.0.1\"]\nuntil = {time}"),
            4,
            &["`until`", "\"18:00\""],
        );
    }
    for port in ["0", "65536", "\"ssh\"", "-1"] {
        refused(
            &format!("[[rule]]\nname = \"r\"\nprotocol = \"tcp\"\ndestination_port = [{port}]\nclass = \"bulk\""),
            4,
            &["`destination_port`", "from 1 to 65535"],
        );
    }
    refused(
        "[[rule]]\nname = \"r\"\ndestination_port = 22\nclass = \"bulk\"",
        3,
        &["`destination_port`", "protocol = \"tcp\""],
    );
    refused("[[rule]]\nname = \"r\"\nclass = \"slow\"", 3, &["`class`", "`isolated` or `bulk`"]);
    refused("[[rule]]\nname = \"r\"\nprotocol = \"sctp\"\nclass = \"bulk\"", 3, &["`protocol`", "`tcp`"]);
    refused("[[rule]]\nname = \"r\"\nexcept_destination = [\"x\"]\nclass = \"bulk\"", 3, &["`except_destination`"]);
    refused("[web]\nlisten = \"8080\"", 2, &["`listen`", "\"192.168.10.1:8080\""]);
    refused("[web]\nport = 8080", 2, &["`port`", "`listen`"]);
    for listen in ["9464", "0.0.0.0:9464", "[::]:9464", "224.0.0.1:9464", "192.168.10.1:0", "router:9464"] {
        refused(&format!("[metrics]\nlisten = \"{listen}\""), 2, &["`listen`", "\"192.168.10.1:9464\""]);
    }
    refused("[metrics]", 1, &["[metrics] has no `listen`"]);
    let both = "[web]\nlisten = \"192.168.10.1:80\"\n[metrics]\nlisten = \"192.168.10.1:80\"";
    refused(both, 4, &["`listen`", "where the pages are served"]);
}

#[test]
fn channels_are_read() {
    let channels = parse(FULL).unwrap().channels;
    let kinds: Vec<_> = channels.iter().map(|channel| channel.kind.name()).collect();
    assert_eq!(kinds, ["webhook", "slack", "ntfy", "matrix", "mail", "xmpp"]);
    let (first, second) = (&channels[0].terms, &channels[1].terms);
    assert_eq!(
        (&first.topics[..], first.lines.len(), first.recovery),
        (&[Topic::Lost, Topic::Orders][..], 1, Recovery::NotTold)
    );
    assert_eq!((first.tolerance, first.group), (Duration::from_secs(120), Duration::ZERO));
    assert_eq!((&second.topics[..], second.hours), (&[Topic::Lost, Topic::Missing, Topic::NoLine][..], None));
    assert_eq!((second.tolerance, second.group), (Duration::from_secs(120), Duration::from_secs(10)));
    let ChannelKind::Webhook(hook) = &channels[0].kind else { panic!("not a webhook") };
    assert_eq!((hook.url.authority().as_str(), hook.url.path.as_str()), ("hooks.example.net:8443", "/potato?key=1"));
    assert!(!format!("{channels:?}").contains("key=1"), "addresses of hooks are secrets");
    let ChannelKind::Ntfy(ntfy) = &channels[2].kind else { panic!("not ntfy") };
    assert_eq!((ntfy.url.server.host.as_str(), ntfy.url.authority().as_str()), ("fd00::1", "[fd00::1]"));
    let ChannelKind::Mail(mail) = &channels[4].kind else { panic!("not mail") };
    assert_eq!((mail.server.port, mail.server.security, mail.to.len()), (465, Security::Tls, 2));
    let ChannelKind::Xmpp(chat) = &channels[5].kind else { panic!("not xmpp") };
    assert_eq!((chat.user.as_str(), chat.domain.as_str(), chat.server.port), ("potato", "example.net", 5223));
}

/// Lines: 2 name, 3 kind.
fn channel(kind: &str, rest: &str) -> String {
    format!("[[notify]]\nname = \"office\"\nkind = \"{kind}\"\n{rest}")
}

#[test]
fn mistakes_in_channels_are_named() {
    let hook = |rest: &str| channel("webhook", &format!("url = \"http://192.0.2.1\"\n{rest}"));
    parse(&format!("{LEAST}{}", hook(""))).unwrap();
    refused("[[notify]]\nkind = \"ntfy\"", 1, &["[[notify]] has no `name`"]);
    refused("[[notify]]\nname = \"The Office\"", 2, &["`name`", "a-z"]);
    refused(&channel("icq", ""), 3, &["`kind`", "`webhook`", "`xmpp`"]);
    refused(&hook("room = \"!a:b\""), 5, &["`room`", "kind \"webhook\" has none", "matrix, xmpp"]);
    refused(&hook("rooms = 1"), 5, &["`rooms`", "did you mean `room`"]);
    refused(&hook("url_file = \"/x\""), 5, &["`url_file`", "`url` says it already"]);
    refused(&channel("slack", ""), 1, &["has no `url`"]);
    for url in ["ftp://a/b", "hooks.example.net", "https://anna:secret@example.net/", "http://", "https://a:0/"] {
        refused(&channel("ntfy", &format!("url = \"{url}\"")), 4, &["`url`", "https://"]);
    }
    refused(
        &hook("template = \"{lines} is\""),
        5,
        &["`template`", "{lines} stands for nothing", "did you mean `line`"],
    );
    refused(&hook("events = [\"lost\", \"found\"]"), 5, &["`events`", "`no-line`"]);
    refused(&hook("lines = \"dsl9\""), 5, &["`lines`", "no uplink named \"dsl9\""]);
    for hours in ["8-18", "08:00", "08:00-24:00", "08:00-08:00", ""] {
        refused(&hook(&format!("hours = \"{hours}\"")), 5, &["`hours`", "\"08:00-18:00\""]);
    }
    refused(&hook("tolerance = 120"), 5, &["`tolerance`", "text in double quotes"]);
    refused(&hook("recovery = \"yes\""), 5, &["`recovery`", "true or false"]);
    let two = format!("{}\n{}", hook(""), hook(""));
    refused(&two, 7, &["`name`", "another channel is named \"office\""]);
    refused(&channel("matrix", "server = \"https://m\"\nroom = \"office\""), 5, &["`room`", "!abc:example.net"]);
    let mail = "server = \"m\"\nfrom = \"a@b\"\nto = \"c@d\"\n";
    refused(&channel("mail", &mail.replace("c@d", "c")), 6, &["`to`", "anna@example.net"]);
    refused(&channel("mail", &format!("{mail}username = \"u\"")), 1, &["has no `password_file`"]);
    let open = format!("{mail}username = \"u\"\npassword_file = \"/p\"\ntls = \"off\"");
    refused(&channel("mail", &open), 9, &["`tls`", "for all to read"]);
    let xmpp = "jid = \"a@b\"\npassword_file = \"/p\"\n";
    refused(&channel("xmpp", xmpp), 1, &["has no `people`"]);
    refused(&channel("xmpp", &format!("{xmpp}people = [\"c@d/phone\"]")), 6, &["`people`", "without a resource"]);
    refused(&channel("xmpp", &format!("{xmpp}people = \"c@d\"\nserver = \"x:y\"")), 7, &["`server`"]);
}

/// Lines: 2 uplink, 3 protocol, 4 port, 5 to.
const FORWARD: &str = "[[forward]]\nuplink = \"any\"\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.10.10:80\"\n";

#[test]
fn forwards_are_read() {
    let read = |port: &str, to: &str| {
        let text = FORWARD.replace("8080", port).replace("192.168.10.10:80", to);
        let forward = parse(&format!("{LEAST}{text}")).unwrap().forwards.remove(0);
        (forward.ports, forward.to, forward.to_port.get())
    };
    let host = ForwardTarget::Host(Ipv4Addr::new(192, 168, 10, 10));
    assert_eq!(read("\"8080\"", "192.168.10.10"), (8080..=8080, host, 8080));
    assert_eq!(read("\"8000-8010\"", "192.168.10.10"), (8000..=8010, host, 8000));
    assert_eq!(read("\"8000-8010\"", "192.168.10.10:9000"), (8000..=8010, host, 9000));
    assert_eq!(read("\"8000-8010\"", "192.168.10.10:9000-9010"), (8000..=8010, host, 9000));
    assert_eq!(read("2222", "router:22"), (2222..=2222, ForwardTarget::Router, 22));
    assert_eq!(read("22", "router"), (22..=22, ForwardTarget::Router, 22));
    let more = "uplink = [\"dsl1\"]\nsource = [\"203.0.113.0/24\", \"198.51.100.7\"]\nname = \"web\"\nprotocol = [\"udp\", \"tcp\"]";
    let text = FORWARD.replace("uplink = \"any\"\nprotocol = \"tcp\"", more);
    let forward = parse(&format!("{LEAST}{text}")).unwrap().forwards.remove(0);
    assert!(matches!(&forward.lines, ForwardedLines::Named(names) if names.len() == 1 && names[0].as_str() == "dsl1"));
    assert_eq!(forward.protocols, [Protocol::Tcp, Protocol::Udp]);
    let sources: Vec<_> = forward.sources.iter().map(ToString::to_string).collect();
    assert_eq!(
        (sources.as_slice(), forward.name.as_deref()),
        (&["203.0.113.0/24".to_owned(), "198.51.100.7/32".to_owned()][..], Some("web"))
    );
}

#[test]
fn mistakes_in_forwards_are_named() {
    let with = |from: &str, to: &str| FORWARD.replace(from, to);
    refused(&with("any", "nobody"), 2, &["`uplink`", "no uplink named \"nobody\""]);
    refused(&with("\"any\"", "[\"dsl1\", \"any\"]"), 2, &["`uplink`", "every line already"]);
    refused(&with("\"any\"", "[]"), 2, &["`uplink`", "the list is empty"]);
    refused(&with("\"tcp\"", "\"icmp\""), 3, &["`protocol`", "`tcp` or `udp`"]);
    refused(&with("8080", "80800"), 4, &["`port`", "from 1 to 65535"]);
    refused(&with("8080", "true"), 4, &["`port`", "\"8000-8010\""]);
    for port in ["\"8000-\"", "\"0-5\"", "\"http\"", "\"1-70000\"", "\"1-2-3\""] {
        refused(&with("8080", port), 4, &["`port`", "no range of ports", "\"8000-8010\""]);
    }
    refused(&with("8080", "\"8010-8000\""), 4, &["`port`", "ends before it starts", "\"8000-8010\""]);
    for port in ["61440", "61503", "\"60000-62000\""] {
        refused(&with("8080", port), 4, &["`port`", "61440 to 61503 are the router's own"]);
    }
    refused(&with("8080", "\"60-70\"").replace("tcp", "udp"), 4, &["`port`", "UDP port 68 is the router's own"]);
    refused(&with("192.168.10.10:80", "web:80"), 5, &["`to`", "\"192.168.10.10:80\"", "\"router:22\""]);
    refused(&with("192.168.10.10:80", "192.168.10.10:0"), 5, &["`to`", "no port"]);
    refused(&with("192.168.10.10:80", "127.0.0.1:80"), 5, &["`to`", "not the address of one host"]);
    refused(&with("192.168.10.10:80", "10.77.1.2:80"), 5, &["`to`", "own address on dsl1", "\"router\""]);
    refused(&with("192.168.10.10:80", "10.77.1.9:80"), 5, &["`to`", "outside, in the network of dsl1"]);
    refused(&with("8080", "\"1-100\"").replace(":80", ":1-50"), 5, &["`to`", "50 ports inside for 100 outside"]);
    refused(&with("8080", "\"1-100\"").replace(":80", ":65500"), 5, &["`to`", "beyond port 65535", "at most 65436"]);
    refused(&format!("{FORWARD}source = [\"office\"]"), 6, &["`source`", "\"203.0.113.0/24\""]);
    refused(&format!("{FORWARD}source = \"203.0.113.9/24\""), 6, &["`source`", "\"203.0.113.0/24\" for the network"]);
    refused(&with("8080", "\"1-50000\""), 4, &["`port`", "only 15536 tcp ports of dsl1", "16384 are left"]);
    refused(&format!("{FORWARD}uplinks = \"any\""), 6, &["`uplinks`", "`uplink`"]);
}

#[test]
fn two_forwards_of_one_port_are_refused() {
    let second = FORWARD.replace("8080", "\"8000-8100\"");
    let named = format!("{FORWARD}name = \"web\"\n");
    refused(
        &format!("{named}{second}"),
        10,
        &["`port`", "tcp port 8080 is forwarded by the forward \"web\" of line", "other ports"],
    );
    let text = format!("{FORWARD}{}", second.replace("tcp", "udp"));
    assert_eq!(parse(&format!("{LEAST}{text}")).unwrap().forwards.len(), 2);
    let line = |name: &str| FORWARD.replace("any", name);
    let apart = format!("{FULL}{}{}", line("dsl1").replace("8080", "80"), line("cable_2-b").replace("8080", "80"));
    assert_eq!(parse(&apart).unwrap().forwards.len(), 3);
}

#[test]
fn adopted_lines_forward_nothing() {
    let adopted = "[[uplink]]\nname = \"lte\"\ninterface = \"wwan0\"\nkind = \"adopted\"\n";
    let all = parse(&format!("{LEAST}{adopted}{FORWARD}")).unwrap();
    assert!(all.warnings.iter().any(|warning| warning.what.contains("adopted")), "{:?}", all.warnings);
    let text = format!("{adopted}{}", FORWARD.replace("any", "lte"));
    refused(&text, 6, &["`uplink`", "\"lte\" is of kind \"adopted\"", "the kernel's"]);
}
