package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretsDoNotPrint tries the ways in which a configuration gets printed
// by mistake.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	type wrapped struct {
		Exported Config
		hidden   Config
	}
	c := Config{
		SecretKey:   NewSecret("hunter2"),
		Redis:       NewAddress("redis://user:hunter2@redis:6379"),
		Connections: []Connection{{Options: NewOptions(`{"gateway_authentication":{"secret":"hunter2"}}`)}},
		Clients:     []Client{{ClientID: "shop", ClientSecret: NewSecret("hunter2")}},
		TestNumbers: []TestNumber{{Number: "+15005550006", Code: NewSecret("hunter2")}},
	}
	w := wrapped{c, c}
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	printed, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c, "secret", c.SecretKey, "redis", c.Redis)
	for how, got := range map[string]string{
		"v": fmt.Sprintf("%v", w), "+v": fmt.Sprintf("%+v", w), "#v": fmt.Sprintf("%#v", w), "pointer": fmt.Sprintf("%+v", &w),
		"s": c.SecretKey.String(), "q": fmt.Sprintf("%q", c.SecretKey), "x": fmt.Sprintf("%x", c.SecretKey),
		"json": string(text), "yaml": string(printed), "slog": log.String(),
	} {
		if strings.Contains(got, "hunter2") || strings.Contains(got, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s shows the secret: %s", how, got)
		}
	}
	if c.SecretKey.Reveal() != "hunter2" || !(Secret{}).IsZero() || NewSecret("") != (Secret{}) {
		t.Error("a secret is not what it was made of")
	}
}

func TestAddressesPrintWithoutPassword(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"embedded":                         "embedded",
		"sqlite:handset.db":                "sqlite:handset.db",
		"redis://redis:6379/0":             "redis://redis:6379/0",
		"redis://:pw@redis:6379":           "redis://:(hidden)@redis:6379",
		"rediss://user:p@w@r1:6379,r2":     "rediss://user:(hidden)@r1:6379,r2",
		"sentinel://main@s1,s2":            "sentinel://main@s1,s2",
		"sentinel://main:pw@s1,s2":         "sentinel://main:(hidden)@s1,s2",
		"postgres://u@db/x?password=pw&b=": "postgres://u@db/x?b=(hidden)&password=(hidden)",
		"https://gateway/send?key=pw":      "https://gateway/send?key=(hidden)",
		"https://gateway/send?%zz":         "https://gateway/send?(hidden)",
	} {
		if got := NewAddress(raw).String(); got != want {
			t.Errorf("%s prints as %s, want %s", raw, got, want)
		}
	}
}

func TestRedactedOptionsKeepTheRest(t *testing.T) {
	t.Parallel()
	o := NewOptions(`{"provider":"sms_gateway","gateway_url":"https://g/?key=hunter2","twilio_token":"hunter2","smpp_password":"hunter2","gateway_authentication":{"secret":"hunter2","audience":"a"}}`)
	got, err := json.Marshal(o.Redacted())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"gateway_authentication":{"audience":"a","secret":"(hidden)"},"gateway_url":"https://g/?key=(hidden)","provider":"sms_gateway","smpp_password":"(hidden)","twilio_token":"(hidden)"}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}
