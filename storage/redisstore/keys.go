package redisstore

import (
	"encoding/base64"
	"time"

	"github.com/handset-oidc/handset/storage"
)

// This file is the only place for names of keys and for how long they live.
//
//	handset:{codes}:challenge:<challenge>   hash     until its code's end or cooldown, then Keep longer
//	handset:{codes}:undone:<send>           string   undoLife
//	handset:{codes}:limit:<name>:<key>      string   until the bucket is full again
//	handset:{<transaction>}:txn             string   until transactionKeep after the transaction's end
//	handset:{<reference>}:posted            string   postedLife
//	handset:at:<MAC>                        string   until the token's end
//	handset:assertion:<tag>                 string   until the assertion's end and assertionLeeway
//
// Challenges and counters share the hash tag {codes}: one script decides a
// request, so a Cluster must keep them on one node. All others spread.

const (
	// undoLife is how long a send can be undone. Its marker lives as long, so
	// that no undo works twice.
	undoLife = 30 * time.Minute
	// transactionKeep is how long a transaction can be read after its end, so that
	// the page which says that it has timed out leads back to the application.
	transactionKeep = 30 * time.Minute
	// postedLife is how long a posted form waits for the GET that follows at once.
	postedLife = 2 * time.Minute
	// assertionLeeway covers the clock difference that a verifier of client
	// assertions may allow.
	assertionLeeway = 2 * time.Minute
)

func challengeKey(id storage.ChallengeID) string { return "handset:{codes}:challenge:" + string(id) }

func undoneKey(send string) string { return "handset:{codes}:undone:" + send }

func limitKey(l storage.Limit) string { return "handset:{codes}:limit:" + l.Name + ":" + l.Key }

func transactionKey(id storage.TransactionID) string { return "handset:{" + string(id) + "}:txn" }

func postedKey(ref string) string { return "handset:{" + ref + "}:posted" }

func accessTokenKey(mac []byte) string {
	return "handset:at:" + base64.RawURLEncoding.EncodeToString(mac)
}

func assertionKey(tag string) string { return "handset:assertion:" + tag }
