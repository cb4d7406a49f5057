'use strict';

// An application with moods, set by its environment:
//   LISTEN_AFTER  seconds until it listens
//   BROKEN_FOR    seconds for which it answers 500
//   ON_TERM       finish (requests that run, then exit), exit (at once) or ignore
//   /slow         takes eight seconds
//   /grow         takes all the memory that there is

const http = require('node:http');
const os = require('node:os');

const { LISTEN_AFTER = '0', BROKEN_FOR = '0', ON_TERM = 'finish' } = process.env;
const began = Date.now();

const server = http.createServer((request, response) => {
  if (request.url === '/grow') for (const all = []; ; ) all.push(Buffer.alloc(1 << 20, 1));
  const broken = Date.now() - began < 1000 * (Number(LISTEN_AFTER) + Number(BROKEN_FOR));
  const answer = () => {
    response.writeHead(broken ? 500 : 200, { 'Content-Type': 'text/plain' });
    response.end(broken ? 'broken\n' : `Hello from ${os.hostname()}\n`);
  };
  setTimeout(answer, request.url === '/slow' ? 8000 : 0);
});

process.on('SIGTERM', () => {
  if (ON_TERM === 'exit') process.exit(0);
  if (ON_TERM === 'finish') {
    // New connections may have been on their way.
    setTimeout(() => server.close(() => process.exit(0)), 300);
  }
});

// These stop nothing here.
for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGWINCH']) process.on(signal, () => {});

setTimeout(() => server.listen(8000), 1000 * Number(LISTEN_AFTER));
