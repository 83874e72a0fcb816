// An Express application as Auth0's quickstart has it. Arguments: its address, the
// issuer, client ID and secret.
import express from 'express';
import openid from 'express-openid-connect';

const [baseURL, issuerBaseURL, clientID, clientSecret] = process.argv.slice(2);
const app = express();
const config = { baseURL, issuerBaseURL, clientID, clientSecret, secret: 'x'.repeat(32), authRequired: false };

app.use(openid.auth({ ...config, routes: { login: false } }));
app.get('/login', (req, res) => res.oidc.login({ returnTo: '/me', authorizationParams: { connection: 'sms' } }));
app.get('/login-code', (req, res) => res.oidc.login({
  returnTo: '/me',
  authorizationParams: { response_type: 'code', response_mode: 'query', scope: 'openid profile', connection: 'sms' },
}));
app.get('/me', (req, res) => res.send(`signed in as ${req.oidc.user?.sub}`));
app.use((err, req, res, next) => res.status(500).send(`the application failed: ${err.message}`));

app.listen(new URL(baseURL).port, () => console.log(JSON.stringify({ listening: baseURL })));
