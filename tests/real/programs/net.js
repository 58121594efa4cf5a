// usage: net.js server PORT | client HOST PORT: streams by net, datagrams by dgram, requests by http (on PORT + 1).
'use strict';
const [mode, ...rest] = process.argv.slice(2);
const net = require('net'), dgram = require('dgram'), http = require('http'), crypto = require('crypto');

function server(port) {
  net.createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {});
    socket.pipe(socket);
  }).listen(port, '::');
  const datagrams = dgram.createSocket('udp6');
  datagrams.on('message', (data, from) => datagrams.send(data, from.port, from.address));
  datagrams.bind(port, '::');
  http.createServer((request, response) => {
    const hash = crypto.createHash('sha256');
    request.on('data', (data) => hash.update(data));
    request.on('end', () => response.end(hash.digest('hex')));
  }).listen(port + 1, '::');
}

const bytes = (index, length) => Buffer.alloc(length, (i => String.fromCharCode(97 + i % 26))(index));

function stream(host, port, index) {
  return new Promise((done, fail) => {
    const sent = bytes(index, 1000 + 50000 * index), got = [];
    const socket = net.connect(port, host, () => socket.end(sent));
    socket.on('data', (data) => got.push(data));
    socket.on('error', fail);
    socket.on('end', () => (Buffer.concat(got).equals(sent) ? done() : fail(new Error('stream differs'))));
  });
}

function datagram(host, port) {
  return new Promise((done, fail) => {
    const socket = dgram.createSocket(host.includes(':') ? 'udp6' : 'udp4');
    const again = setInterval(() => socket.send('ping', port, host), 300);
    const late = setTimeout(() => fail(new Error('no datagram came back')), 20000);
    socket.on('error', fail);
    socket.on('message', (data) => {
      clearInterval(again); clearTimeout(late); socket.close();
      data.toString() === 'ping' ? done() : fail(new Error('datagram differs'));
    });
    socket.send('ping', port, host);
  });
}

function request(agent, host, port, index) {
  return new Promise((done, fail) => {
    const sent = bytes(index, 10000 * index);
    const asked = http.request({ agent, host, port, method: 'POST', headers: { 'content-length': sent.length } }, (response) => {
      let text = '';
      response.on('data', (data) => { text += data; });
      response.on('end', () => (text === crypto.createHash('sha256').update(sent).digest('hex')
        ? done() : fail(new Error('digest differs'))));
    });
    asked.on('error', fail);
    asked.end(sent);
  });
}

async function client(host, port) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 8 });
  const all = [];
  for (let i = 0; i < 20; i++) all.push(stream(host, port, i), request(agent, host, port + 1, i));
  await Promise.all(all);
  await datagram(host, port);
  agent.destroy();
}

if (mode === 'server') server(Number(rest[0]));
else client(rest[0], Number(rest[1])).catch((error) => { console.error(error); process.exit(1); });
