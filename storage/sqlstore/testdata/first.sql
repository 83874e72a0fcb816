-- Data of a database with the first migration's schema. Its secret key is 32 bytes 5a;
-- the cookie, the code and the client's secret are "cookie", "code" and "secret".

INSERT INTO users (id, number, number_index, created_at, updated_at, last_login_at, verified_at, blocked_at)
VALUES ('sms|first', X'25eecc56458837f7ff88062da68cbdb65444b6d56561aead3bbdfc84473e881e31435a56c3d59558d6ee59c4ae', X'25eecc56dc982089015f2720ab31c046f56fb02fd612915b30d946dfeeb6c89e9f5cdb02', 1772600767, 1772600767, 1772600767, 1772600767, NULL);

INSERT INTO removed_users (id, removed_at)
VALUES ('sms|removed', 1772600767);

INSERT INTO sessions (id, session_mac, challenge, user_id, auth_time, created_at, seen_at, expires_at, ended_at)
VALUES ('first-session', X'25eecc565d351a79283bedcd19bb5bc553a88ffa2a787ab4c9ecff499676c93291f9a9c5', 'login:first-transaction', 'sms|first', 1772600767, 1772600767, 1772600767, 1773205567, NULL);

INSERT INTO grants (id, transaction_id, code_mac, code_expires, client_id, redirect_uri, scopes, nonce, code_challenge, acr, user_id, session_id, auth_time, created_at, redeemed_at, revoked_at, ends_at)
VALUES ('first-grant', 'first-transaction', X'25eecc5698b9994bd8e1f6dcbaacbd864ade6d14f433ad62330c5dbc54a70418e64b293d', 1772600827, 'first-client', 'https://app.example/cb', 'openid offline_access', 'n', '', '', 'sms|first', 'first-session', 1772600767, 1772600767, 1772600767, NULL, 1775279168);

INSERT INTO refresh_families (id, grant_id, counter, rotated_at, created_at, idle_expires, absolute_expires)
VALUES ('first-family', 'first-grant', 1, NULL, 1772600767, 1773205567, 1775192767);

INSERT INTO clients (id, settings, secret_macs, created_at, updated_at)
VALUES ('first-client', '{"client_id":"first-client","name":"First","app_type":"regular_web","callbacks":["https://app.example/cb"],"allowed_logout_urls":null,"web_origins":null,"allowed_origins":null,"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"client_secret_post","is_first_party":false,"require_pkce":false,"require_state":false,"require_nonce":false,"subject_type":"public"}', '["Je7MVjwlnTCgVa2Vc5H3P3ZFCwDhDiR8FJtL9jkgZvwbX8w+"]', 1772600767, 1772600767);

INSERT INTO connections (name, strategy, options, updated_at)
VALUES ('sms', 'sms', X'25eecc56dc143372abdd588b97be9b552f49ec0988db128640056fd0f00e99104ae2608d27da90c2743a32e4679716e29a93d179df', 1772600767);

INSERT INTO signing_keys (id, algorithm, pkcs8, created_at, signs_from, retired_at, publish_until)
VALUES ('first-key', 'RS256', X'25eecc56ec8078933e4cd0d0f80e927af9fce682130489d880278545a71878e048de122fa0049f', 1772600767, 1772600767, NULL, NULL);

INSERT INTO changes (id, kind, ref)
VALUES (1, 'client', 'first-client');

INSERT INTO changes (id, kind, ref)
VALUES (2, 'connection', 'sms');

INSERT INTO changes (id, kind, ref)
VALUES (3, 'key', '');

INSERT INTO changes (id, kind, ref)
VALUES (4, 'user', 'sms|removed');
