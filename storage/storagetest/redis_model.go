package storagetest

import "testing"

func randomHistories(t *testing.T, p *place) { _, _ = t, p }
