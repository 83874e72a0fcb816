package resourcetest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// testNumbers begin so: no country gives such numbers to anybody.
const (
	testNumbers = "+1500555"
	testCode    = "424242"
)

// codeReader reads the code of one login. It is made before the text is asked for.
type codeReader func(ctx context.Context) (string, error)

func (h Handset) codeReader(ctx context.Context, number string) (codeReader, error) {
	switch {
	case h.Code != nil:
		return func(ctx context.Context) (string, error) { return h.Code(ctx, number) }, nil
	case strings.HasPrefix(number, testNumbers):
		return func(context.Context) (string, error) { return testCode, nil }, nil
	}
	before, err := h.inbox(ctx, number, nil)
	if err != nil {
		return nil, fmt.Errorf("%w (only the demo has an inbox: set Code, or use a test number)", err)
	}
	var last uint64
	for _, m := range before {
		last = max(last, m.ID)
	}
	return func(ctx context.Context) (string, error) { return h.inboxCode(ctx, number, last) }, nil
}

// message is a text in the demo's inbox.
type message struct {
	ID   uint64 `json:"id"`
	Body string `json:"body"`
}

// inbox reads the texts to a number; with after it waits a while for one that is
// newer.
func (h Handset) inbox(ctx context.Context, number string, after *uint64) ([]message, error) {
	b := &browser{client: &http.Client{Timeout: 30 * time.Second}}
	q := url.Values{"to": {number}}
	if after != nil {
		q.Set("after", strconv.FormatUint(*after, 10))
	}
	var answer struct {
		Messages []message `json:"messages"`
	}
	err := b.json(ctx, strings.TrimSuffix(h.Issuer, "/")+"/inbox/messages?"+q.Encode(), &answer)
	return answer.Messages, err
}

var codePattern = regexp.MustCompile(`\b\d{4,10}\b`)

func (h Handset) inboxCode(ctx context.Context, number string, after uint64) (string, error) {
	texts, err := h.inbox(ctx, number, &after)
	if err != nil {
		return "", err
	}
	if len(texts) == 0 {
		return "", errors.New("no text has come")
	}
	code := codePattern.FindString(texts[len(texts)-1].Body)
	if code == "" {
		return "", errors.New("the newest text has no code")
	}
	return code, nil
}
