package sms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/handset-oidc/handset/passcode/phone"
)

func TestMessagePrintsNoCode(t *testing.T) {
	t.Parallel()
	m := testMessage(t)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		for _, said := range []string{fmt.Sprintf(format, m), fmt.Sprintf(format, &m), fmt.Sprintf(format, []Message{m})} {
			if strings.Contains(said, "314159") || strings.Contains(said, "12345678") || strings.Contains(said, "Mozilla") {
				t.Errorf("%s prints %s", format, said)
			}
		}
	}
}

func TestAsErrorKeepsForeignErrorsOut(t *testing.T) {
	t.Parallel()
	own := &Error{Kind: KindStatus, Status: 500}
	if got := AsError(fmt.Errorf("wrapped: %w", own)); got != own {
		t.Errorf("AsError = %v", got)
	}
	if got := AsError(errors.New("could not text " + testNumber)); got.Kind != KindInternal || strings.Contains(got.Error(), "123") {
		t.Errorf("AsError = %v", got)
	}
}

func TestConsolePrintsTheText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if _, err := NewConsole(&out).Send(t.Context(), testMessage(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"DEVELOPMENT ONLY", testNumber, testBody} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("console prints no %q:\n%s", want, out.String())
		}
	}
	_, broken := io.Pipe()
	broken.CloseWithError(errors.New(testBody))
	if _, err := NewConsole(broken).Send(t.Context(), testMessage(t)); err == nil || strings.Contains(err.Error(), "314159") {
		t.Errorf("a console that can't print: %v", err)
	}
}

func TestInbox(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	b := NewInbox(3, func() time.Time { return at })
	first, second := testMessage(t), testMessage(t)
	second.To, _ = phone.FromStored("+447911123456")
	for i := range 4 {
		m := first
		if i == 2 {
			m = second
		}
		m.Body = fmt.Sprint(i)
		if _, err := b.Send(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	bodies := func(texts []Text) string {
		var out []string
		for _, text := range texts {
			out = append(out, text.Body)
			if text.At != at || text.From != first.From || text.ID == 0 {
				t.Errorf("text %+v", text)
			}
		}
		return strings.Join(out, " ")
	}
	if got := bodies(b.Texts(phone.Number{})); got != "1 2 3" {
		t.Errorf("all texts: %s", got)
	}
	if got := bodies(b.Texts(first.To)); got != "1 3" {
		t.Errorf("texts of one number: %s", got)
	}
	if got, err := b.Wait(t.Context(), phone.Number{}, 2); err != nil || bodies(got) != "2 3" {
		t.Errorf("Wait = %s, %v", bodies(got), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if got, err := b.Wait(ctx, first.To, 4); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait = %v, %v", got, err)
	}
}

func TestInboxWakesThoseWhoWait(t *testing.T) {
	t.Parallel()
	b := NewInbox(100, time.Now)
	m := testMessage(t)
	other := m
	other.To, _ = phone.FromStored("+447911123456")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			texts, err := b.Wait(t.Context(), m.To, 0)
			if err != nil || len(texts) == 0 || texts[0].To != m.To {
				t.Errorf("Wait = %v, %v", texts, err)
			}
		})
	}
	for _, message := range []Message{other, m} {
		if _, err := b.Send(t.Context(), message); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}
