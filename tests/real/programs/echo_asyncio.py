"""usage: echo_asyncio.py server PORT | client HOST PORT: streams and datagrams by asyncio, many at once."""
import asyncio
import sys


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()
    writer.close()
    await writer.wait_closed()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


async def server(port):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, local_addr=("::", port))
    async with await asyncio.start_server(echo, None, port) as listening:
        await listening.serve_forever()


async def one(host, port, index):
    reader, writer = await asyncio.open_connection(host, port)
    sent = bytes((index + i) % 251 for i in range(1000 + 40000 * index))

    async def send():
        writer.write(sent)
        await writer.drain()
        writer.write_eof()
    sending = asyncio.create_task(send())
    assert await reader.read() == sent
    await sending
    writer.close()
    await writer.wait_closed()


class Asking(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, addr):
        if not self.answer.done():
            self.answer.set_result(data)


async def ask(host, port):
    loop = asyncio.get_running_loop()
    transport, asking = await loop.create_datagram_endpoint(Asking, remote_addr=(host, port))
    for _ in range(20):
        transport.sendto(b"ping")
        try:
            assert await asyncio.wait_for(asyncio.shield(asking.answer), 0.5) == b"ping"
            break
        except asyncio.TimeoutError:
            continue
    assert asking.answer.done(), "no datagram came back"
    transport.close()


async def client(host, port):
    await asyncio.gather(*(one(host, port, index) for index in range(30)))
    await ask(host, port)


if sys.argv[1] == "server":
    asyncio.run(server(int(sys.argv[2])))
else:
    asyncio.run(asyncio.wait_for(client(sys.argv[2], int(sys.argv[3])), 60))
