package resource

import (
	"crypto/sha256"
	"strconv"
	"testing"
	"time"
)

// TestKeptAnswersAreBounded: old ones make room for new ones, and when all are new,
// some go.
func TestKeptAnswersAreBounded(t *testing.T) {
	t.Parallel()
	var k answers
	now := time.Now()
	find := func(n int) *answer { return k.find(sha256.Sum256([]byte(strconv.Itoa(n))), now) }
	for n := range maxAnswers {
		find(n).keep(true, now.Add(time.Duration(n%2)*time.Minute))
	}
	first := find(1)
	find(maxAnswers)
	if got := len(k.about); got != maxAnswers/2+1 {
		t.Errorf("%d answers after the old ones went", got)
	}
	if find(1) != first {
		t.Error("one that still counted went with the old ones")
	}
	for n := range maxAnswers {
		find(maxAnswers+n).keep(true, now.Add(time.Minute))
		if got := len(k.about); got > maxAnswers {
			t.Fatalf("%d answers", got)
		}
	}
}
