// An Express application with express-openid-connect, as its guide has it. It prints
// its address, reads its registration from one line, and prints that it is ready.
import { createInterface } from 'node:readline';
import express from 'express';
import oidc from 'express-openid-connect';

const app = express();
const server = app.listen(0, '127.0.0.1', () => {
  print({ url: `http://127.0.0.1:${server.address().port}` });
});

function print(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

for await (const line of createInterface({ input: process.stdin })) {
  app.use(oidc.auth({
    authRequired: false,
    baseURL: `http://127.0.0.1:${server.address().port}`,
    secret: 'a long and random string that signs the cookies of the app',
    ...JSON.parse(line),
  }));
  app.get('/', (req, res) => res.send(req.oidc.isAuthenticated() ? 'signed in' : 'signed out'));
  app.get('/profile', oidc.requiresAuth(), async (req, res) => {
    const info = req.oidc.accessToken ? await req.oidc.fetchUserInfo() : null;
    res.json({ claims: req.oidc.idTokenClaims, info });
  });
  app.use((err, req, res, next) => {
    res.status(500).send(`the application failed: ${err.message}`);
  });
  print({ ready: true });
}
process.exit(0);
