'use strict';

const http = require('node:http');
const os = require('node:os');

// Connections that have not asked for anything yet: node does not count them as idle.
const silent = new Set();
let stopping = false;

const server = http.createServer((request, response) => {
  silent.delete(request.socket);
  response.on('close', () => stopping && server.closeIdleConnections());
  const headers = { 'Content-Type': 'text/plain' };
  if (stopping) headers.Connection = 'close';
  response.writeHead(200, headers);
  response.end(`Hello from ${os.hostname()}\n`);
});

server.on('connection', (socket) => {
  silent.add(socket);
  socket.on('close', () => silent.delete(socket));
});

// As PID 1 node gets no default action for signals. Requests that run are finished, then the process ends.
function stop() {
  if (stopping) return;
  stopping = true;
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  // A request may be on its way on a connection that was just opened.
  setTimeout(() => silent.forEach((socket) => socket.destroy()), 200);
}

process.on('SIGTERM', stop);
process.on('SIGINT', stop);

server.listen(8000, () => console.log('Server running at http://127.0.0.1:8000/'));
