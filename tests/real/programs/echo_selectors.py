"""usage: echo_selectors.py server PORT | client HOST PORT: one thread, non-blocking sockets, by each selector of the module in turn."""
import selectors
import socket
import sys

KINDS = [selectors.EpollSelector, selectors.PollSelector, selectors.SelectSelector]


class Pipe:
    """A connection with what is still to be sent."""

    def __init__(self, connection, left=b"", wanted=None):
        self.connection, self.left, self.wanted = connection, bytearray(left), wanted
        self.got, self.over, self.shut = bytearray(), False, False

    def events(self):
        reading = 0 if self.over else selectors.EVENT_READ
        writing = selectors.EVENT_WRITE if self.left or (self.shuts() and not self.shut) else 0
        return reading | writing

    def shuts(self):
        return self.wanted is not None or self.over

    def step(self, mask):
        if mask & selectors.EVENT_READ and not self.over:
            data = self.connection.recv(65536)
            self.over = not data
            (self.left if self.wanted is None else self.got).extend(data)
        if mask & selectors.EVENT_WRITE and self.left:
            del self.left[:self.connection.send(self.left)]
        if not self.left and self.shuts() and not self.shut:
            self.connection.shutdown(socket.SHUT_WR)
            self.shut = True
        return not (self.over and self.shut)


def turn(selector):
    """Moves what is ready; True while something is left."""
    for key, mask in selector.select(20):
        pipe = key.data
        if not pipe.step(mask):
            selector.unregister(pipe.connection)
            pipe.connection.close()
        elif pipe.events() != key.events:
            selector.modify(pipe.connection, pipe.events(), pipe)


def server(port):
    listening = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    listening.setblocking(False)
    turns = 0
    selector = KINDS[0]()
    while True:
        # A fresh set of another kind every now and then, with what was in the one before.
        fresh = KINDS[turns // 50 % 3]()
        for key in list(selector.get_map().values()):
            fresh.register(key.fileobj, key.events, key.data)
        selector.close()
        selector = fresh
        if turns == 0:
            selector.register(listening, selectors.EVENT_READ)
        for _ in range(50):
            for key, mask in selector.select(1):
                if key.data is None:
                    connection, _ = listening.accept()
                    connection.setblocking(False)
                    selector.register(connection, selectors.EVENT_READ, Pipe(connection))
                elif not key.data.step(mask):
                    selector.unregister(key.fileobj)
                    key.fileobj.close()
                elif key.data.events():
                    selector.modify(key.fileobj, key.data.events(), key.data)
            turns += 1


def client(host, port):
    for kind in KINDS:
        with kind() as selector:
            pipes = []
            for index in range(20):
                connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
                connection.setblocking(False)
                try:
                    connection.connect((host, port))
                except BlockingIOError:
                    pass
                sent = bytes((index + i) % 251 for i in range(100000 + index))
                pipe = Pipe(connection, sent, sent)
                pipes.append(pipe)
                selector.register(connection, pipe.events(), pipe)
            while selector.get_map():
                turn(selector)
            assert all(pipe.got == pipe.wanted for pipe in pipes), kind


if sys.argv[1] == "server":
    server(int(sys.argv[2]))
else:
    client(sys.argv[2], int(sys.argv[3]))
