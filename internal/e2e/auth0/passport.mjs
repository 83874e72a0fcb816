// An Express application with passport-auth0, as its guide has it but for one option:
// it takes the person from the ID token, which the strategy has verified. To ask for the
// profile the package would put the access token into a URL. It prints its address, reads
// its registration from one line, and prints that it is ready.
import { createInterface } from 'node:readline';
import express from 'express';
import session from 'express-session';
import passport from 'passport';
import Auth0Strategy from 'passport-auth0';

const app = express();
const server = app.listen(0, '127.0.0.1', () => print({ url: home() }));

function home() {
  return `http://127.0.0.1:${server.address().port}`;
}

function print(line) {
  process.stdout.write(JSON.stringify(line) + '\n');
}

for await (const line of createInterface({ input: process.stdin })) {
  const settings = JSON.parse(line);
  passport.use(new Auth0Strategy(
    { ...settings, callbackURL: home() + '/callback', skipUserProfile: true },
    (accessToken, refreshToken, params, profile, done) => {
      const [, claims] = params.id_token.split('.');
      done(null, JSON.parse(Buffer.from(claims, 'base64url')));
    },
  ));
  passport.serializeUser((user, done) => done(null, user));
  passport.deserializeUser((user, done) => done(null, user));
  app.use(session({ secret: 'a long and random string', resave: false, saveUninitialized: true }));
  app.use(passport.initialize());
  app.use(passport.session());
  app.get('/login', passport.authenticate('auth0', { scope: 'openid profile phone', connection: 'sms' }), (req, res) => res.redirect('/'));
  app.get('/callback', passport.authenticate('auth0', { failureRedirect: '/refused' }), (req, res) => res.redirect('/'));
  app.get('/', (req, res) => res.json(req.user ?? null));
  app.get('/refused', (req, res) => res.status(401).send('refused'));
  app.get('/logout', (req, res, next) => req.logout((err) => {
    if (err) return next(err);
    const query = new URLSearchParams({ client_id: settings.clientID, returnTo: home() });
    res.redirect(`https://${settings.domain}/v2/logout?${query}`);
  }));
  app.use((err, req, res, next) => {
    res.status(500).send(`the application failed: ${err.message}`);
  });
  print({ ready: true });
}
process.exit(0);
