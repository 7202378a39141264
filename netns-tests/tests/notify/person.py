"""Somebody with a client of XMPP: writes what comes to standard output, a line of JSON each; sends each line of standard input.

Usage: person.py ADDRESS USER DOMAIN PASSWORD [ROOM]
"""
import base64
import json
import socket
import sys
import threading
import time
import xml.sax
from xml.sax.saxutils import quoteattr

address, user, domain, password = sys.argv[1:5]
connection = socket.create_connection((address, 5222), timeout=30)
connection.settimeout(None)
ready = threading.Event()
step = "open"


def say(text):
    connection.sendall(text.encode())


def begin():
    say(f"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' to='{domain}'>")


class Stanzas(xml.sax.ContentHandler):
    """Each element of the second level, as [name, attributes, text of all in it by name]."""

    def startDocument(self):
        self.depth, self.now, self.inner = 0, None, []

    def startElement(self, name, attributes):
        self.depth += 1
        self.inner.append(name)
        if self.depth == 2:
            self.now = {"name": name, **{f"@{key}": value for key, value in attributes.items()}}

    def characters(self, text):
        if self.now is not None and self.depth > 2:
            self.now[self.inner[-1]] = self.now.get(self.inner[-1], "") + text

    def endElement(self, name):
        self.inner.pop()
        self.depth -= 1
        if self.depth == 1 and self.now is not None:
            stanza, self.now = self.now, None
            handle(stanza)


def handle(stanza):
    global step, parser
    name = stanza["name"]
    if name == "stream:features" and step == "open":
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        say(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>")
    elif name == "success":
        step = "bind"
        raise Again
    elif name == "stream:features":
        say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    elif stanza.get("@id") == "b":
        say("<presence/>")
        if len(sys.argv) > 5:
            say(f"<presence to={quoteattr(sys.argv[5] + '/' + user)}><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        ready.set()
        print(json.dumps({"at": time.time(), "name": "ready"}), flush=True)
    else:
        print(json.dumps({"at": time.time(), **stanza}), flush=True)


class Again(Exception):
    pass


def new_parser():
    made = xml.sax.make_parser()
    made.setContentHandler(Stanzas())
    return made


def speak():
    ready.wait()
    for line in sys.stdin:
        say(line.strip())


threading.Thread(target=speak, daemon=True).start()
parser = new_parser()
begin()
while received := connection.recv(65536):
    try:
        parser.feed(received)
    except Again:
        parser = new_parser()
        begin()
