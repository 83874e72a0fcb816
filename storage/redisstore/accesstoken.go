package redisstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/handset-oidc/handset/storage"
)

// PutAccessToken keeps the record of an opaque token until it expires, to be
// found by the token's MAC.
func (s *Store) PutAccessToken(ctx context.Context, mac []byte, t storage.AccessToken, now time.Time) error {
	const operation = "put access token"
	ttl, ok := until(t.ExpiresAt, now)
	if !ok {
		return fmt.Errorf("%s: it has expired already", operation)
	}
	return failed(operation, s.client.Set(ctx, accessTokenKey(mac), encodeToken(t), ttl).Err())
}

// AccessToken returns the record of the token with one of these MACs (one per
// live secret key), or [storage.ErrNotFound]. The caller compares ExpiresAt.
func (s *Store) AccessToken(ctx context.Context, macs [][]byte) (storage.AccessToken, error) {
	const operation = "read access token"
	if len(macs) == 1 {
		value, err := s.client.Get(ctx, accessTokenKey(macs[0])).Bytes()
		return foundToken(operation, value, err)
	}
	pipe := s.client.Pipeline()
	replies := make([]*redis.StringCmd, len(macs))
	for i, mac := range macs {
		replies[i] = pipe.Get(ctx, accessTokenKey(mac))
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return storage.AccessToken{}, failed(operation, err)
	}
	for _, r := range replies {
		if value, err := r.Bytes(); !errors.Is(err, redis.Nil) {
			return foundToken(operation, value, err)
		}
	}
	return storage.AccessToken{}, fmt.Errorf("%s: %w", operation, storage.ErrNotFound)
}

func foundToken(operation string, value []byte, err error) (storage.AccessToken, error) {
	if errors.Is(err, redis.Nil) {
		return storage.AccessToken{}, fmt.Errorf("%s: %w", operation, storage.ErrNotFound)
	}
	if err != nil {
		return storage.AccessToken{}, failed(operation, err)
	}
	t, err := decodeToken(value)
	if err != nil {
		return storage.AccessToken{}, fmt.Errorf("%s: %w", operation, err)
	}
	return t, nil
}

// DeleteAccessToken forgets the token with one of these MACs, if it is known.
func (s *Store) DeleteAccessToken(ctx context.Context, macs [][]byte) error {
	pipe := s.client.Pipeline()
	for _, mac := range macs {
		pipe.Del(ctx, accessTokenKey(mac))
	}
	_, err := pipe.Exec(ctx)
	return failed("delete access token", err)
}

// tokenVersion is the first byte of a record: strings behind their length
// (grant, client, user, session, scopes with spaces), then issued as seconds
// since 1970, and from there to the expiry and back to the authentication.
const tokenVersion = 1

func encodeToken(t storage.AccessToken) []byte {
	b := make([]byte, 1, 192)
	b[0] = tokenVersion
	for _, s := range []string{
		string(t.GrantID), string(t.ClientID), string(t.UserID), string(t.SessionID), strings.Join(t.Scopes, " "),
	} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	issued := t.IssuedAt.Unix()
	b = binary.AppendVarint(b, issued)
	b = binary.AppendVarint(b, t.ExpiresAt.Unix()-issued)
	return binary.AppendVarint(b, issued-t.AuthTime.Unix())
}

var errTokenRecord = errors.New("the record is not an access token's")

func decodeToken(b []byte) (storage.AccessToken, error) {
	if len(b) == 0 || b[0] != tokenVersion {
		return storage.AccessToken{}, errTokenRecord
	}
	b = b[1:]
	var texts [5]string
	for i := range texts {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return storage.AccessToken{}, errTokenRecord
		}
		texts[i] = string(b[size : size+int(n)])
		b = b[size+int(n):]
	}
	var numbers [3]int64
	for i := range numbers {
		n, size := binary.Varint(b)
		if size <= 0 {
			return storage.AccessToken{}, errTokenRecord
		}
		numbers[i], b = n, b[size:]
	}
	if len(b) != 0 {
		return storage.AccessToken{}, errTokenRecord
	}
	return storage.AccessToken{
		GrantID:   storage.GrantID(texts[0]),
		ClientID:  storage.ClientID(texts[1]),
		UserID:    storage.UserID(texts[2]),
		SessionID: storage.SessionID(texts[3]),
		Scopes:    strings.Fields(texts[4]),
		IssuedAt:  time.Unix(numbers[0], 0).UTC(),
		ExpiresAt: time.Unix(numbers[0]+numbers[1], 0).UTC(),
		AuthTime:  time.Unix(numbers[0]-numbers[2], 0).UTC(),
	}, nil
}
