"""Takes requests by HTTP and mails by SMTP, and writes each with its time to standard output, a line of JSON each.

Usage: sinks.py ADDRESS HTTP_PORT SMTP_PORT
"""
import http.server
import json
import socketserver
import sys
import threading
import time

lock = threading.Lock()


def told(**what):
    with lock:
        print(json.dumps({"at": time.time(), **what}), flush=True)


class Pages(http.server.BaseHTTPRequestHandler):
    def taken(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.path.startswith("/bad"):
            status, answer = 400, b"no such thing"
        else:
            told(by=self.path.split("/")[1], path=self.path, method=self.command, body=body,
                 headers={name.lower(): value for name, value in self.headers.items()})
            status, answer = 200, b"{}"
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_POST = do_PUT = taken

    def log_message(self, *arguments):
        pass


class Mails(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 sink")
        recipients = []
        while line := self.rfile.readline().decode().strip():
            word = line.split()[0].upper()
            if word == "EHLO":
                self.say("250-sink")
                self.say("250 8BITMIME")
            elif word == "RCPT":
                recipients.append(line.split(":", 1)[1].strip("<> "))
                self.say("250 ok")
            elif word == "DATA":
                self.say("354 go on")
                lines = []
                while (line := self.rfile.readline().decode()) not in (".\r\n", ""):
                    lines.append(line)
                told(by="mail", to=recipients, body="".join(lines))
                self.say("250 taken")
            elif word == "QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


class Threads(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    daemon_threads = True


address, pages, mails = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
threading.Thread(target=Threads((address, mails), Mails).serve_forever, daemon=True).start()
Threads((address, pages), Pages).serve_forever()
