package resource

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const fuzzClaims = `{"iss":"https://login.example.com/","sub":"sms|1","aud":["a","b"],"client_id":"c","jti":"j",` +
	`"iat":1795725706,"exp":1795729306.5,"auth_time":1795725706,"amr":["sms","otp"],"scope":"read:vendors","x":{"y":[":","}"]}}`

// FuzzToken holds the reader of tokens against Go's own decoders: what it takes has
// one spelling, the claims that they find, and a header that says what was believed.
func FuzzToken(f *testing.F) {
	b64 := base64.RawURLEncoding.EncodeToString
	for _, header := range []string{
		`{"alg":"ES256","kid":"k","typ":"at+jwt"}`, `{"typ":"application/at+jwt","alg":"RS256","kid":""}`,
		`{"alg":"ES256","kid":"k","typ":"JWT"}`, `{"alg":"ES256","kid":"k","typ":"at+jwt","jku":"https://evil.example"}`,
		`{"alg":"none","typ":"at+jwt"}`, `{}`, `[]`,
	} {
		f.Add(b64([]byte(header)) + "." + b64([]byte(fuzzClaims)) + "." + b64(make([]byte, 64)))
	}
	f.Add("..")
	f.Add("eyJ.e30.AA")
	f.Fuzz(func(t *testing.T, raw string) {
		parsed, reason := parse(raw)
		if reason != "" {
			return
		}
		caller, ok := parsed.caller()
		if ok && (caller.Subject == "" || caller.ClientID == "" || caller.Issuer == "" || caller.ID == "" || caller.ExpiresAt.IsZero()) {
			t.Errorf("a caller without an identity: %+v", caller)
		}
		parts := strings.Split(raw, ".")
		if len(parts) != 3 || parsed.input != parts[0]+"."+parts[1] {
			t.Fatalf("%d parts, of which %q is signed", len(parts), parsed.input)
		}
		var decoded [][]byte
		for _, part := range parts {
			text, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil || b64(text) != part {
				t.Fatalf("%q is no base64url, or not the one spelling: %v", part, err)
			}
			decoded = append(decoded, text)
		}
		var header map[string]any
		if err := json.Unmarshal(decoded[0], &header); err != nil || header["alg"] != parsed.alg || header["kid"] != parsed.kid {
			t.Errorf("header %v, %v; alg %q, kid %q", header, err, parsed.alg, parsed.kid)
		}
		same(t, parsed.claims, decoded[1])
	})
}

// FuzzObject holds the reader of JSON objects against encoding/json.
func FuzzObject(f *testing.F) {
	for _, text := range []string{
		fuzzClaims, `{}`, ` { } `, "{\t\"a\" : 1 ,\r\n\"b\":[ ] }", `{"a":"\"}","b\u0022":{"c":"]"}}`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`,
		`{"a":[ "b" , "c]" ],"d":["e",1],"f":[["g"]],"h":[],"i":[null]}`, `[]`, `null`, `"{"`, `{"a"}`, `{"a":}`, `{,}`, `{"":""}`, "{\"\xff\":1}", `{"a":1}{`, `{"a":"\ud800"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, ok := parseObject(text)
		if ok {
			same(t, o, text)
			return
		}
		var want map[string]json.RawMessage
		if json.Unmarshal(text, &want) == nil && want != nil && len(want) < maxMembers && eachOnce(text) && bytes.Equal(bytes.ToValidUTF8(text, nil), text) {
			t.Errorf("refused: %s", text)
		}
	})
}

// same fails unless encoding/json finds the same members.
func same(t *testing.T, o object, text []byte) {
	t.Helper()
	var want map[string]any
	if err := json.Unmarshal(text, &want); err != nil || want == nil {
		t.Fatalf("encoding/json does not take it: %v", err)
	}
	got := map[string]any{}
	for _, m := range o {
		var v any
		if err := json.Unmarshal([]byte(m.value), &v); err != nil {
			t.Fatalf("%q is no JSON: %v", m.value, err)
		}
		got[m.name] = v
		list, ok := texts(v)
		if mine, taken := o.texts(m.name); taken != ok || !slices.Equal(mine, list) {
			t.Errorf("texts of %s: %q, %v; want %q, %v", m.value, mine, taken, list, ok)
		}
	}
	if len(got) != len(o) || !reflect.DeepEqual(got, want) {
		t.Errorf("members %v, want %v", slices.Sorted(maps.Keys(got)), want)
	}
}

// eachOnce reports whether no member of an object stands there twice.
func eachOnce(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	seen := map[string]bool{}
	if _, err := d.Token(); err != nil {
		return false
	}
	for d.More() {
		name, err := d.Token()
		if err != nil || seen[name.(string)] {
			return false
		}
		seen[name.(string)] = true
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return false
		}
	}
	return true
}

// texts is a string, or a list of nothing but strings.
func texts(v any) ([]string, bool) {
	if s, ok := v.(string); ok {
		return []string{s}, true
	}
	list, ok := v.([]any)
	var out []string
	for _, one := range list {
		s, isText := one.(string)
		if !isText {
			return nil, false
		}
		out = append(out, s)
	}
	return out, ok
}
