"""Servers that the programs under test talk to, or that ask them. Plain blocking sockets, so that what is tested is at the other end.

usage: peers.py http PORT DIRECTORY   files by GET; a PUT is answered with the SHA-256 of its body
       peers.py dns PORT              any A is 192.0.2.7, any AAAA 2001:db8::7, a TXT is long; over UDP and TCP
       peers.py memcached HOST PORT   stores and fetches over 16 connections, and fetches over UDP
"""
import hashlib
import http.server
import socket
import socketserver
import struct
import sys
import threading


class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self):
        digest = hashlib.sha256()
        if self.headers.get("Expect"):
            self.send_response_only(100)
            self.end_headers()
        for part in self.body():
            digest.update(part)
        text = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers["Content-Length"])
        while left:
            part = self.rfile.read(min(left, 65536))
            if not part:
                return
            left -= len(part)
            yield part

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6
    request_queue_size = 128


def serve_http(port, directory):
    def handler(*args):
        return Handler(*args, directory=directory)
    Server(("::", int(port)), handler).serve_forever()


def dns_answer(question):
    number, _, _ = struct.unpack("!HHH", question[:6])
    end = 12
    while question[end]:
        end += 1 + question[end]
    kind, _ = struct.unpack("!HH", question[end + 1:end + 5])
    data = {1: socket.inet_pton(socket.AF_INET, "192.0.2.7"),
            28: socket.inet_pton(socket.AF_INET6, "2001:db8::7"),
            16: b"".join(b"\xff" + b"x" * 255 for _ in range(12))}.get(kind)
    records = b"" if data is None else struct.pack("!HHHIH", 0xc00c, kind, 1, 60, len(data)) + data
    head = struct.pack("!HHHHHH", number, 0x8580, 1, 1 if records else 0, 0, 0)
    return head + question[12:end + 5] + records


class DnsStream(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            answer = dns_answer(self.rfile.read(struct.unpack("!H", head)[0]))
            self.wfile.write(struct.pack("!H", len(answer)) + answer)


class DnsServer(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True


def serve_dns(port):
    stream = DnsServer(("::", int(port)), DnsStream)
    threading.Thread(target=stream.serve_forever, daemon=True).start()
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    # The answer comes from the address that was asked: one wildcard socket does so as long as there is one interface.
    datagrams.bind(("::", int(port)))
    while True:
        question, asker = datagrams.recvfrom(65535)
        answer = dns_answer(question)
        if len(answer) > 512:
            answer = answer[:2] + b"\x87\x80" + answer[4:6] + b"\0" * 6 + question[12:]
        datagrams.sendto(answer, asker)


def ask_memcached(host, port):
    failures = []

    def one(index):
        try:
            with socket.create_connection((host, int(port)), 20) as connection:
                lines = connection.makefile("rb")
                for turn in range(200):
                    value = bytes([97 + (index + turn) % 26]) * (1 + 37 * turn)
                    connection.sendall(b"set k%d 0 0 %d\r\n%s\r\n" % (index, len(value), value))
                    assert lines.readline() == b"STORED\r\n"
                    connection.sendall(b"get k%d\r\n" % index)
                    assert lines.readline() == b"VALUE k%d 0 %d\r\n" % (index, len(value))
                    assert lines.read(len(value)) == value
                    assert lines.readline() == b"\r\n" and lines.readline() == b"END\r\n"
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=one, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(10)
        asking.sendto(struct.pack("!HHHH", 7, 0, 1, 0) + b"get k3\r\n", (host, int(port)))
        answer = asking.recv(65535)
        assert answer[:2] == b"\0\7" and answer[8:].startswith(b"VALUE k3 0 "), answer[:40]


{"http": serve_http, "dns": serve_dns, "memcached": ask_memcached}[sys.argv[1]](*sys.argv[2:])
