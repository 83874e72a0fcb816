package redisstore

import (
	"context"
	"crypto/sha1"
	_ "embed" // the scripts
	"encoding/hex"
	"fmt"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed scripts/gcra.lua
	gcraLua string
	//go:embed scripts/start_challenge.lua
	startChallengeLua string
	//go:embed scripts/check_challenge.lua
	checkChallengeLua string
	//go:embed scripts/undo_send.lua
	undoSendLua string
	//go:embed scripts/take_limits.lua
	takeLimitsLua string

	startChallenge = newScript(startChallengeLua)
	checkChallenge = newScript(checkChallengeLua)
	undoSend       = newScript(undoSendLua)
	takeLimits     = newScript(takeLimitsLua)
)

// script is a Lua script, by its text and by the digest that Redis knows it by.
type script struct{ text, digest string }

func newScript(text string) script {
	text = gcraLua + text
	digest := sha1.Sum([]byte(text)) // Redis names scripts so (EVALSHA); nothing is secured by it
	return script{text: text, digest: hex.EncodeToString(digest[:])}
}

// run runs the script by its digest, and by its text when Redis has lost it (it
// restarted). It returns the reply's values.
func (s *Store) run(ctx context.Context, sc script, keys []string, argv []any) ([]any, error) {
	reply, err := s.eval(ctx, "evalsha", sc.digest, keys, argv)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		reply, err = s.eval(ctx, "eval", sc.text, keys, argv)
	}
	if err != nil {
		return nil, err
	}
	values, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("script replied %T", reply)
	}
	return values, nil
}

func (s *Store) eval(ctx context.Context, command, by string, keys []string, argv []any) (any, error) {
	args := make([]any, 0, 3+len(keys)+len(argv))
	args = append(args, command, by, len(keys))
	for _, key := range keys {
		args = append(args, key)
	}
	cmd := once{redis.NewCmd(ctx, append(args, argv...)...)}
	if err := s.client.Process(ctx, cmd); err != nil {
		return nil, err
	}
	return cmd.Result()
}
