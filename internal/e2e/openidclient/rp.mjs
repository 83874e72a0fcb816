// A relying party written with openid-client, for rp_openidclient_test.go.
//
// It takes its settings as JSON in the first argument and talks by lines: it
// prints {"authorize": URL}, reads the address that the browser was led to,
// does all that an application does, and prints what it found as one JSON
// object. What openid-client refuses ends it with an error.

import { createInterface } from 'node:readline/promises'
import * as oidc from 'openid-client'

const settings = JSON.parse(process.argv[2])

const authentication = {
  client_secret_post: () => oidc.ClientSecretPost(settings.secret),
  client_secret_basic: () => oidc.ClientSecretBasic(settings.secret),
  none: () => oidc.None(),
  private_key_jwt: () => privateKeyJwt(settings.key),
}

async function privateKeyJwt(jwk) {
  const algorithm =
    jwk.kty === 'EC'
      ? { name: 'ECDSA', namedCurve: 'P-256' }
      : { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  const key = await crypto.subtle.importKey('jwk', jwk, algorithm, false, ['sign'])
  return oidc.PrivateKeyJwt({ key, kid: jwk.kid })
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const say = (value) => process.stdout.write(JSON.stringify(value) + '\n')

// The issuer of the test is at a loopback address, where http is allowed.
const config = await oidc.discovery(
  new URL(settings.issuer),
  settings.client,
  undefined,
  await authentication[settings.method](),
  { execute: [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks], algorithm: settings.algorithm },
)

const verifier = oidc.randomPKCECodeVerifier()
const state = oidc.randomState()
const nonce = oidc.randomNonce()
say({
  authorize: oidc.buildAuthorizationUrl(config, {
    redirect_uri: settings.callback,
    scope: 'openid profile phone offline_access',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    max_age: '3600',
  }).href,
})

const callback = new URL((await lines.next()).value)
const first = await oidc.authorizationCodeGrant(config, callback, {
  pkceCodeVerifier: verifier,
  expectedState: state,
  expectedNonce: nonce,
  maxAge: 3600,
  idTokenExpected: true,
})
const claims = first.claims()
const userinfo = await oidc.fetchUserInfo(config, first.access_token, claims.sub)
const second = await oidc.refreshTokenGrant(config, first.refresh_token)

const introspect = async (token) =>
  settings.method === 'none' ? undefined : oidc.tokenIntrospection(config, token)
const active = await introspect(second.access_token)
await oidc.tokenRevocation(config, second.access_token)
const revoked = await introspect(second.access_token)

const logout = oidc.buildEndSessionUrl(config, {
  id_token_hint: second.id_token,
  post_logout_redirect_uri: settings.bye,
  state,
})
say({ state, claims, refreshed: second.claims(), userinfo, active, revoked, logout: logout.href, scope: first.scope })

// After the browser's logout nothing is left to refresh.
await lines.next()
let refused
try {
  await oidc.refreshTokenGrant(config, second.refresh_token)
} catch (e) {
  refused = e.error
}
say({ refused })
process.exit(0)
